"""fuse_modules beside PyTorch's: the same modules in the same places, with the same weights."""
import pytest

import rustorch_py as rt
from rustorch_py import nn

torch = pytest.importorskip("torch")


def build(t):
    nn = t.nn
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 5, 2), nn.BatchNorm2d(5), nn.Conv2d(5, 5, 1, bias=False),
                         nn.ReLU(), nn.Flatten(), nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 2), nn.ReLU())


GROUPS = [["0", "1", "2"], ["3", "4"], ["5", "6"], ["8", "9"], ["10", "11"]]


@pytest.mark.parametrize("qat", [False, True])
def test_names_and_weights(qat):
    from rustorch_py.ao.quantization import fuse_modules, fuse_modules_qat
    from torch.ao import quantization as theirs_
    groups = [g for g in GROUPS if not (qat and g == ["3", "4"])]
    theirs, ours = build(torch), build(rt)
    with torch.no_grad():
        for p in (*theirs.parameters(), *(b for b in theirs.buffers() if b.is_floating_point())):
            p.uniform_(0.2, 1.5)
    ours.load_state_dict({k: rt.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    theirs, ours = (m.train(qat) for m in (theirs, ours))
    theirs = (theirs_.fuse_modules_qat if qat else theirs_.fuse_modules)(theirs, groups)
    ours = (fuse_modules_qat if qat else fuse_modules)(ours, groups)
    assert [type(m).__name__ for m in ours.modules()] == [type(m).__name__ for m in theirs.modules()]
    want = theirs.state_dict()
    assert list(ours.state_dict()) == list(want)
    for key, value in ours.state_dict().items():
        rt.testing.assert_close(value, rt.from_numpy(want[key].numpy()))
    assert nn.ReLU in [type(m) for m in ours.modules()]
