"""PyTorch's inner name of `rustorch_py.data.collate`."""
from ..collate import (collate, collate_float_fn, collate_int_fn, collate_str_fn, collate_tensor_fn, default_collate,  # noqa: F401
                       default_collate_fn_map, default_convert)
