"""CUDA kernels behind the operators that are not rows of the table: Note [Kernels of devices] in tensor/_devices.py."""
from . import attention, conv, index, norm, pool, recurrent, resample, softmax
