"""Training in several processes over MPI, under PyTorch's names: ``mpirun -n 4 python train.py``.

Needs mpi4py and an MPI: pip install 'rustorch_py[mpi]'. Without them this module can be imported, `is_available()` is False, and
what needs other processes raises an error that says so. Tensors in host memory travel as they lie there; those of GPUs by NCCL
(pip install 'rustorch_py[nccl]').
"""
from ..errors import DistBackendError, DistError, DistNetworkError, DistStoreError
from ._debug import DebugLevel, get_debug_level, set_debug_level, set_debug_level_from_env
from ._group import (Backend, GroupMember, ProcessGroup, default_pg_timeout, destroy_process_group, get_backend, get_backend_config, get_global_rank,
                     get_group_rank, get_node_local_rank, get_pg_count, get_process_group_ranks, get_rank, get_world_size, group, init_process_group,
                     is_initialized, new_group, new_subgroups, new_subgroups_by_enumeration)
from ._mpi import installed as _installed
from ._reduce_op import RedOpType, ReduceOp, _make_nccl_premul_sum  # noqa: F401
from ._collectives import (all_gather, all_gather_coalesced, all_gather_into_tensor, all_gather_single, all_reduce, all_reduce_coalesced, all_to_all,
                           all_to_all_single, barrier, broadcast, gather, reduce, reduce_scatter, reduce_scatter_single, reduce_scatter_tensor, scatter)
from ._objects import (all_gather_object, broadcast_object_list, gather_object, recv_object_list, scatter_object_list, send_object_list)
from ._p2p import P2POp, batch_isend_irecv, irecv, isend, monitored_barrier, recv, send
from ._store import FileStore, HashStore, PrefixStore, Store, TCPStore
from ._work import Work


_LAZY = {"GradBucket": "._reducer", "DeviceMesh": ".device_mesh", "init_device_mesh": ".device_mesh"}


def __getattr__(name):
    if name in ("algorithms", "optim", "fsdp", "checkpoint", "device_mesh", "pipelining", "tensor", "_tensor", "_composable", *_LAZY):
        from importlib import import_module
        value = getattr(import_module(_LAZY[name], __name__), name) if name in _LAZY else import_module("." + name, __name__)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def is_available():
    """Tell whether mpi4py, which carries the messages, is installed."""
    return _installed()


def is_mpi_available():
    """Tell whether mpi4py is installed."""
    return _installed()


def is_gloo_available():
    """Tell whether "gloo" can be asked for: where MPI is there, MPI serves it."""
    return _installed()


def is_nccl_available():
    """Tell whether there is a GPU and NVIDIA's library."""
    from .. import cuda
    if not cuda.is_available():
        return False
    from ._device import find_library
    return find_library() is not None


def is_ucc_available():
    """Tell whether UCC can be used: it cannot."""
    return False


def is_xccl_available():
    """Tell whether XCCL can be used: it cannot."""
    return False


def is_backend_available(backend):
    """Tell whether a back end of this name can be asked for."""
    return backend.lower() in ("mpi", "gloo") and _installed() or backend.lower() == "nccl" and is_nccl_available()


def get_default_backend_for_device(device):
    """Return the name of the back end for a device's tensors."""
    from .. import tensor
    kind = tensor.device(device).type
    if kind not in Backend.default_device_backend_map:
        raise ValueError(f"Default backend not registered for device : {device}")
    return Backend.default_device_backend_map[kind]


def supports_complex(reduceOp):
    """Tell whether a reduction is defined on complex numbers."""
    from ._reduce_op import parse
    return parse("supports_complex", reduceOp if reduceOp != ReduceOp.PREMUL_SUM else ReduceOp.SUM)[0] in ("SUM", "AVG", "PRODUCT")


def is_torchelastic_launched():
    """Tell whether an elastic launcher (torchrun, rustorch launch) started this process."""
    import os
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


__all__ = ["Backend", "DebugLevel", "DistBackendError", "DistError", "DistNetworkError", "DistStoreError", "FileStore", "GroupMember", "HashStore", "P2POp",
           "PrefixStore", "ProcessGroup", "ReduceOp", "Store", "TCPStore", "Work", "all_gather", "all_gather_coalesced", "all_gather_into_tensor",
           "all_gather_object", "all_gather_single", "all_reduce", "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier", "batch_isend_irecv",
           "broadcast", "broadcast_object_list", "default_pg_timeout", "destroy_process_group", "gather", "gather_object", "get_backend",
           "get_backend_config", "get_debug_level", "get_default_backend_for_device", "get_global_rank", "get_group_rank", "get_node_local_rank",
           "get_pg_count", "get_process_group_ranks", "get_rank", "get_world_size", "group", "init_process_group", "irecv", "is_available",
           "is_backend_available", "is_gloo_available", "is_initialized", "is_mpi_available", "is_nccl_available", "is_torchelastic_launched",
           "is_ucc_available", "is_xccl_available", "isend", "monitored_barrier", "new_group", "new_subgroups", "new_subgroups_by_enumeration", "recv",
           "recv_object_list", "reduce", "reduce_scatter", "reduce_scatter_single", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send",
           "send_object_list", "set_debug_level", "set_debug_level_from_env", "supports_complex"]
