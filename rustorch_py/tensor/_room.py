"""Counts that no machine has room for."""
import os

from ..errors import OutOfMemoryError


_ROOM = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()) else 0     # bytes; 0: not told


def refuse_endless(owner, name, count, nbytes):
    """Refuse more copies of something than memory can hold, before the first one is made.

    Args:
        owner, name: who makes them and its argument, for the message.
        count: how many copies are asked for; what is no int is left to who counts with it.
        nbytes: a lower bound of what one copy takes.

    Raises:
        OutOfMemoryError: all copies together are larger than the machine's memory.
    """
    if isinstance(count, int) and count * nbytes > _ROOM > 0:
        raise OutOfMemoryError(f"{owner}: {name}={count} asks for at least {count * nbytes} bytes, and this machine has {_ROOM}", op=owner)
