"""Files that appear whole or not at all."""
import os
import stat
from contextlib import contextmanager

from ..errors import MissingFolderError


@contextmanager
def atomic_write(path, mode="wb", **options):
    """Open a file for writing that takes its name only when it is complete.

    The text goes to a temporary name in the same folder, is flushed to the disk, and replaces
    ``path`` in one step; on an error the old file stays as it was. A path that is a device or a
    pipe is written directly.

    Args:
        path: where the file shall be; links are followed.
        mode: ``"wb"``, or ``"w"`` for text.
        **options: for :func:`open` (``encoding``, ``newline``).

    Example:
        >>> with atomic_write(path) as f:       # doctest: +SKIP
        ...     f.write(b"...")
    """
    path = os.path.realpath(os.fspath(path))
    try:
        kept_mode = os.stat(path).st_mode
    except FileNotFoundError:
        kept_mode = None
    if kept_mode is not None and not stat.S_ISREG(kept_mode):
        with open(path, mode, **options) as f:
            yield f
        return
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise MissingFolderError(f"{name}: its folder {folder!r} does not exist; make it first")
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        with open(fd, mode, **options) as f:
            if kept_mode is not None:
                os.chmod(temporary, stat.S_IMODE(kept_mode))
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        raise
    _sync_folder(folder)


def _sync_folder(folder):
    """Make the rename itself durable, where the system lets a folder be opened."""
    try:
        fd = os.open(folder or ".", os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError:
        pass      # some network file systems refuse fsync on folders; the data itself is safe
    finally:
        os.close(fd)
