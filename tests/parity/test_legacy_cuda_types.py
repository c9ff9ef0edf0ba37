"""torch.cuda.FloatTensor and its siblings where there is no CUDA device: there, printed alike, and refused when called."""
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

NAMES = "FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor CharTensor ByteTensor BoolTensor".split()


@pytest.mark.skipif(torch.cuda.is_available() or rt.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_types(name):
    for m in (torch, rt):
        kind = getattr(m.cuda, name)
        assert repr(kind) == f"<class 'torch.cuda.{name}'>" and not isinstance(m.ones(2), kind)
        with pytest.raises(TypeError, match="not available"):
            kind(2)
        with pytest.raises(Exception):
            m.ones(2).type(kind)
        with pytest.raises(Exception):
            m.ones(2).type(f"torch.cuda.{name}")
    assert (rt.cuda.FloatTensor if rt.cuda.is_available() else rt.FloatTensor)([1.0]).tolist() == [1.0]
