"""Names for annotations."""
import builtins
import os
from typing import IO, Union

from .tensor import Size, Tensor, TypedStorage, UntypedStorage, device, dtype

Number = Union[builtins.int, builtins.float, builtins.bool]
Device = Union[device, builtins.str, builtins.int, None]
FileLike = Union[builtins.str, os.PathLike, IO[bytes]]
Storage = Union[TypedStorage, UntypedStorage]
_int, _float, _bool, _complex = builtins.int, builtins.float, builtins.bool, builtins.complex
_dtype, _device, _size = dtype, device, Union[Size, list, tuple]
_TensorOrTensors = Union[Tensor, tuple]
