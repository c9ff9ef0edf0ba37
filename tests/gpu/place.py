"""The device that tests of every device run on: RUSTORCH_TEST_DEVICE, ``cuda`` unless it says ``metal``."""
import importlib
import os

import rustorch_py as rt

DEVICE = os.environ.get("RUSTORCH_TEST_DEVICE", "cuda")
face = getattr(rt, DEVICE)
assert face.is_available()
SOFTWARE = face.get_device_name().startswith("Software")
backend = importlib.import_module(f"rustorch_py.{DEVICE}._backend")
text = importlib.import_module(f"rustorch_py.{DEVICE}._text")
# what the device computes with
DTYPES = [rt.bool, rt.uint8, rt.int8, rt.int16, rt.int32, rt.int64, rt.float16, rt.bfloat16, rt.float32]
if DEVICE == "cuda":
    DTYPES += [rt.float64, rt.complex64, rt.complex128]
