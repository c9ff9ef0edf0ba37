"""rustorch_py whose `from_numpy` puts tensors on the device, so that PyTorch's operator database runs there:

    python op_conformance.py --module tests.gpu.on_device --dtypes float32 --no-variants --samples 2 --grad-samples 2

With RUSTORCH_CUDA_SOFTWARE=1 the device is the one that needs no GPU."""
import sys

import rustorch_py

NAMESPACES = ("linalg", "fft", "special", "nn", "signal", "masked")


class OnDevice(type(rustorch_py)):
    """Names are rustorch_py's; arrays come in on the device."""

    def __getattr__(self, name):
        return getattr(rustorch_py, name)

    @staticmethod
    def from_numpy(array):
        return rustorch_py.from_numpy(array).to("cuda")


module = OnDevice(__name__)
module.__path__ = []
module.Tensor = rustorch_py.Tensor
for name in NAMESPACES:
    setattr(module, name, getattr(rustorch_py, name))
sys.modules[__name__] = module
