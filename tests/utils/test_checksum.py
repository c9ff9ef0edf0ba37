import zlib

import numpy as np
import pytest

import rustorch_py as torch
from rustorch_py.utils._checksum import crc32
from rustorch_py.utils._memory import bytes_of


@pytest.mark.parametrize("value", [0, 1, 0xDEADBEEF, 0xFFFFFFFF])
def test_crc32_is_zlibs(value):
    data = np.random.default_rng(0).bytes(70_000)
    for n in [*range(200), 1023, 1024, 1040, 65_537, 70_000]:
        for start in (0, 1, 3):
            part = memoryview(data)[start:n]
            assert crc32(part, value) == zlib.crc32(part, value)


def test_crc32_goes_on():
    data = np.random.default_rng(1).bytes(5000)
    assert crc32(data[1234:], crc32(data[:1234])) == zlib.crc32(data)


def test_crc32_takes_what_lends_bytes():
    t = torch.arange(100, dtype=torch.float64)
    assert crc32(bytes_of(t)) == crc32(t.numpy()) == zlib.crc32(t.numpy().tobytes())
    with pytest.raises(TypeError):
        crc32("text")
