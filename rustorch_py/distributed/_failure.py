"""A rank that fails ends the job, with one error that says which rank, where and why.

MPI leaves the others waiting when one rank stops calling it. While a process group exists, an exception nobody caught and
an exit with an error status (sys.exit, exit, raise SystemExit) abort the job; a crash (SIGSEGV and the like) prints Python's
traceback and is seen by mpirun.
"""
from __future__ import annotations

import atexit
import ctypes
import faulthandler
import gc
import os
import socket
import sys
import time
import traceback

_state = {"rank": None, "size": None, "code": None, "hooks": None, "registered": False, "world": None}


def name():
    """Return this process as text: rank, size and host."""
    return f"rank {_state['rank']} of {_state['size']} on {socket.gethostname()} (process {os.getpid()})"


def abort(message, code=1):
    """Print one message and end the job on all ranks."""
    sys.stdout.flush()
    # One write, so that ranks that fail together do not mix their lines.
    os.write(2, f"rustorch_py: {name()}: {message.rstrip()}\n".encode())
    time.sleep(0.2)          # MPICH's launcher drops what a rank wrote and it has not read when the job is aborted
    if _state["world"] is not None:
        _state["world"].tell(message)
        os._exit(code)
    from ._mpi import mpi
    mpi().COMM_WORLD.Abort(code)


def install(rank, size, world=None):
    """Begin to watch over this process; world: `_store_comm.World` where no MPI is."""
    _state.update(rank=rank, size=size, code=None, world=world)
    if world is not None and size > 1:
        from ._work import checks, watch
        checks.append(world.look)
        watch()
    if _state["hooks"] is not None:
        return
    _state["hooks"] = (sys.excepthook, sys.exit, faulthandler.is_enabled())
    sys.excepthook, sys.exit = _uncaught, _exit
    if not faulthandler.is_enabled():
        try:
            faulthandler.enable(all_threads=False)
        except (OSError, ValueError, AttributeError):        # stderr without a file descriptor (notebooks, tests)
            _state["hooks"] = (*_state["hooks"][:2], True)
    if size > 1:
        _put_code(property(_code, _CODE.__set__, _CODE.__delete__, _CODE.__doc__))
        if not _state["registered"]:
            _state["registered"] = True
            atexit.register(_leave)


def remove():
    """Put back what install changed."""
    if _state["hooks"] is None:
        return
    if _state["world"] is not None:
        from ._work import checks
        checks[:] = [look for look in checks if look != _state["world"].look]
    hook, leave, had_handler = _state["hooks"]
    if sys.excepthook is _uncaught:
        sys.excepthook = hook
    if sys.exit is _exit:
        sys.exit = leave
    if SystemExit.__dict__["code"] is not _CODE:
        _put_code(_CODE)
    if not had_handler:
        faulthandler.disable()
    _state.update(hooks=None, code=None, world=None)


def _uncaught(kind, error, trace):
    if _state["size"] == 1:
        _state["hooks"][0](kind, error, trace)
        return
    # Where all ranks fail alike, one of them should say so: the first to abort ends the others while they wait here.
    time.sleep(min(1.0, 0.2 * _state["rank"]))
    if issubclass(kind, KeyboardInterrupt):
        abort(f"interrupted ({kind.__name__}{': ' + str(error) if str(error) else ''})", 130)
    abort("uncaught exception ends the job\n" + "".join(traceback.format_exception(kind, error, trace)))


# Note [The status a program ends with]
# Nothing tells exit handlers what status the program ends with, and sys.excepthook is not called for SystemExit. But the
# interpreter reads SystemExit.code once nobody caught it, when no Python frame is left, and only then. So the attribute is read
# through _code while there are other ranks. A SystemExit that the program makes, catches and looks at counts for nothing.
# Before Python 3.12 sys.exit leaves a bare number where the exception should be, and nothing is read; _exit makes the exception.
_CODE = SystemExit.__dict__["code"]


def _put_code(descriptor):
    """Make a descriptor SystemExit's attribute ``code``; built-in types refuse setattr."""
    (names,) = (d for d in gc.get_referents(SystemExit.__dict__) if type(d) is dict)
    names["code"] = descriptor
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(SystemExit))      # forget cached look-ups


def _code(error):
    """Return the exit status of a SystemExit; remember it if the interpreter asks."""
    status = _CODE.__get__(error)
    try:
        sys._getframe(1)
    except ValueError:
        _state["code"] = status
    return status


def _exit(status=None, /):
    """Exit as sys.exit does."""
    raise SystemExit(status)


def _leave():
    """At the end of the program: a rank that leaves with an error takes the others along."""
    status = _state["code"]
    if _state["hooks"] is None or status in (None, 0):
        return
    abort(f"left with sys.exit({status!r})", status if isinstance(status, int) and 0 < status < 256 else 1)
