"""Training in several processes: not in this version. The names are here, and every use says what is missing.

Programs that ask `is_available()` and `is_initialized()` before they go parallel run as one process.
"""
import enum as _enum

from ..errors import BackendUnavailableError, TensorValueError

_MISSING = ("this version runs in one process; runs over several processes will use MPI, which the extra brings: "
            "pip install 'rustorch_py[mpi]'")


class ReduceOp(_enum.Enum):
    """How a collective operation combines the values of the ranks."""
    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


class Backend(str):
    """Name of a communication back end."""
    UNDEFINED, GLOO, NCCL, MPI = "undefined", "gloo", "nccl", "mpi"


class _Group:
    WORLD = None


group = _Group
GroupMember = _Group


def is_available():
    """Tell whether mpi4py, which carries the messages, is installed."""
    from importlib.util import find_spec
    return find_spec("mpi4py") is not None


def is_mpi_available():
    """Tell whether mpi4py is installed."""
    return is_available()


def is_nccl_available():
    """Tell whether NCCL can be used: it cannot."""
    return False


def is_gloo_available():
    """Tell whether Gloo can be used: it cannot."""
    return False


def is_torchelastic_launched():
    """Tell whether PyTorch's elastic launcher started this process."""
    import os
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def is_initialized():
    """Tell whether a process group exists: none can, in this version."""
    return False


def init_process_group(backend=None, init_method=None, timeout=None, world_size=-1, rank=-1, store=None, group_name="", pg_options=None, device_id=None):
    """Join the group of processes.

    Raises:
        BackendUnavailableError: always, in this version.
    """
    raise BackendUnavailableError(f"distributed.init_process_group({backend!r}): {_MISSING}", op="init_process_group")


def _no_group(op):
    raise TensorValueError("Default process group has not been initialized, please make sure to call init_process_group.", op=op)


def get_rank(group=None):
    """Return this process's number in the group; without a group that is an error."""
    _no_group("get_rank")


def get_world_size(group=None):
    """Return the number of processes in the group; without a group that is an error."""
    _no_group("get_world_size")


def get_backend(group=None):
    """Return the back end's name; without a group that is an error."""
    _no_group("get_backend")


def destroy_process_group(group=None):
    """Leave the group; without one there is nothing to leave, and that is an error as in PyTorch."""
    _no_group("destroy_process_group")


_COLLECTIVES = ("all_reduce", "all_gather", "all_gather_into_tensor", "all_gather_object", "all_to_all", "all_to_all_single", "barrier", "broadcast",
                "broadcast_object_list", "gather", "gather_object", "irecv", "isend", "new_group", "recv", "reduce", "reduce_scatter",
                "reduce_scatter_tensor", "scatter", "scatter_object_list", "send", "monitored_barrier")


def _collective(name):
    def unavailable(*args, **kwargs):
        raise BackendUnavailableError(f"distributed.{name}: no process group; {_MISSING}", op=f"distributed.{name}")
    unavailable.__name__ = unavailable.__qualname__ = name
    unavailable.__doc__ = "Refuse: there is no process group in this version."
    return unavailable


globals().update({_name: _collective(_name) for _name in _COLLECTIVES})
