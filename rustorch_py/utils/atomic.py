"""Files that appear whole or not at all."""
import os
import stat
from contextlib import contextmanager

from ..errors import MissingFolderError


@contextmanager
def atomic_write(path, mode="wb", sync_folder=True, **options):
    """Open a file for writing that takes its name only when it is complete.

    The text goes to a temporary name in the same folder, is flushed to the disk, and replaces
    ``path`` in one step; on an error the old file stays as it was. A path that is a device or a
    pipe is written directly.

    So whoever opens ``path``, also after a crash of the machine, finds the new file whole, or what
    was there before. With ``sync_folder`` the new name is on the disk too when the block ends;
    without, a crash in the seconds that the file system takes to write its folders may bring the
    old file back (or none, where there was none), whole as ever.

    Args:
        path: where the file shall be; links are followed.
        mode: ``"wb"``, or ``"w"`` for text.
        sync_folder: wait for the folder as well as for the file.
        **options: for :func:`open` (``encoding``, ``newline``).

    Example:
        >>> with atomic_write(path) as f:       # doctest: +SKIP
        ...     f.write(b"...")
    """
    path = os.path.join(os.getcwd(), os.fsdecode(path))            # a link on the way keeps its meaning; the last part is followed below
    try:
        kept_mode = os.lstat(path).st_mode
        if stat.S_ISLNK(kept_mode):
            path = os.path.realpath(path)
            kept_mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        kept_mode = None
    if kept_mode is not None and not stat.S_ISREG(kept_mode):
        with open(path, mode, **options) as f:
            yield f
        return
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFolderError(f"{name}: its folder {folder!r} does not exist; make it first") from None
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
    if sync_folder:
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
