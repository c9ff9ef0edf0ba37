"""mpi4py, loaded when first used: the world of processes, element types, reduction operators, messages of any length."""
from __future__ import annotations

import functools
import os
from importlib.util import find_spec

from .. import tensor as _t
from ..errors import BackendUnavailableError, DistBackendError, DTypeError

EXTRA = "pip install 'rustorch_py[mpi]'"
# What one call may count: MPI's plain interface counts in 32 bits. Longer messages travel as derived types or in pieces.
MAX_COUNT = 2**30


def installed():
    """Tell whether mpi4py is installed; imports nothing."""
    return find_spec("mpi4py") is not None


def launched():
    """Tell whether an MPI launcher (mpirun, mpiexec, srun, ...) started this process."""
    return any(name in os.environ for name in ("OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_ID", "PMI_FD", "PMI_PORT", "MPI_LOCALNRANKS"))


@functools.cache
def mpi():
    """Return the module ``mpi4py.MPI``; MPI is initialised by that, for use by several threads.

    Raises:
        BackendUnavailableError: mpi4py or an MPI library is missing.
    """
    if not installed():
        raise BackendUnavailableError(f"distributed: mpi4py, which carries the messages, is not installed: {EXTRA}", op="distributed")
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError, OSError) as error:
        raise BackendUnavailableError(f"distributed: mpi4py finds no MPI library ({' '.join(str(error).split())}): {EXTRA}", op="distributed") from error
    if not MPI.Is_initialized():
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
    return MPI


@functools.cache
def element_types():
    """Return MPI's type of each dtype. Booleans and 16-bit floats travel as integers of their size."""
    MPI = mpi()
    return {_t.bool: MPI.UINT8_T, _t.uint8: MPI.UINT8_T, _t.int8: MPI.INT8_T, _t.int16: MPI.INT16_T, _t.int32: MPI.INT32_T, _t.int64: MPI.INT64_T,
            _t.float16: MPI.UINT16_T, _t.bfloat16: MPI.UINT16_T, _t.float32: MPI.FLOAT, _t.float64: MPI.DOUBLE,
            _t.complex64: MPI.C_FLOAT_COMPLEX, _t.complex128: MPI.C_DOUBLE_COMPLEX}


_INTEGERS = (_t.uint8, _t.int8, _t.int16, _t.int32, _t.int64)
# AVG and PREMUL_SUM are sums with a factor before or after.
_SUMS = {"AVG": "SUM", "PREMUL_SUM": "SUM"}


@functools.cache
def reduction(name, dtype):
    """Return MPI's operator for a ReduceOp's name and a dtype.

    Raises:
        DTypeError: the operator has no meaning for the dtype.
    """
    MPI = mpi()
    kind = _SUMS.get(name, name)
    if name.startswith("B"):
        if dtype is not _t.bool and dtype not in _INTEGERS:
            raise DTypeError(f"ReduceOp.{name}: expected an integer or bool tensor, got {dtype}", op=name)
    elif kind in ("MIN", "MAX") and dtype.is_complex:
        raise DTypeError(f"ReduceOp.{name}: complex numbers have no order, got {dtype}", op=name)
    elif name == "AVG" and dtype is _t.bool:
        raise DTypeError("ReduceOp.AVG: the mean of bool tensors is not defined", op=name)
    if dtype is _t.bool:          # or, and, as extremes of 0 and 1
        kind = {"SUM": "MAX", "PRODUCT": "MIN"}.get(kind, kind)
    if dtype in (_t.float16, _t.bfloat16):
        from ._combine import Combine
        return MPI.Op.Create(Combine(kind.lower(), dtype), commute=True)
    return {"SUM": MPI.SUM, "PRODUCT": MPI.PROD, "MIN": MPI.MIN, "MAX": MPI.MAX, "BAND": MPI.BAND, "BOR": MPI.BOR, "BXOR": MPI.BXOR}[kind]


def memory(tensor, start=0, count=None):
    """Return a contiguous tensor's memory, or count elements of it from start, as [buffer, count, type]; nothing is copied."""
    dtype, size = tensor.dtype, tensor.element_size()
    n = tensor.numel() - start if count is None else count
    buffer = mpi().buffer.fromaddress(tensor.data_ptr() + start * size, n * size) if n else None
    return [buffer, *counted(n, element_types()[dtype])]


def counted(n, element):
    """Return (count, type) that together are n elements, however many."""
    return (n, element) if n <= MAX_COUNT else (1, _block(n, element.handle))


@functools.cache
def _block(n, handle):
    """Return a committed type of n elements, for n beyond one call's count."""
    MPI = mpi()
    element = MPI.Datatype.fromhandle(handle)
    extent = element.Get_extent()[1]
    whole, rest = divmod(n, MAX_COUNT)
    piece = element.Create_contiguous(MAX_COUNT)
    parts, counts, places = [piece], [whole], [0]
    if rest:
        parts, counts, places = [piece, element], [whole, rest], [0, whole * MAX_COUNT * extent]
    block = MPI.Datatype.Create_struct(counts, places, parts)
    block.Commit()
    piece.Free()
    return block


def pieces(n):
    """Yield (start, count) of the pieces in which n elements are reduced: derived types have no reductions."""
    for start in range(0, n, MAX_COUNT):
        yield start, min(MAX_COUNT, n - start)
    if n == 0:
        yield 0, 0


def fail(op, error):
    """Raise an MPI error as the package's own."""
    raise DistBackendError(f"{op}: {' '.join(str(error).split())}", op=op) from error
