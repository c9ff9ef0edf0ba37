"""What all tests of devices share."""
import pytest

from rustorch_py.backends import cudnn


@pytest.fixture(autouse=True)
def float32_is_float32():
    """On a GPU cuDNN may round float32 to TF32; these tests compare with the CPU."""
    with cudnn.flags(enabled=True, allow_tf32=False):
        yield
