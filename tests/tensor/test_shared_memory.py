"""share_memory_: writes of a forked process are seen here."""
import os

import pytest

import rustorch_py as torch

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_child_writes_are_seen():
    x = torch.arange(6.0).reshape(2, 3).clone().requires_grad_()
    assert not x.is_shared()
    assert x.share_memory_() is x and x.is_shared() and x.share_memory_() is x
    view = x.detach()[1]
    pid = os.fork()
    if pid == 0:
        with torch.no_grad():
            x.mul_(10)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert x.tolist() == [[0, 10, 20], [30, 40, 50]] and view.tolist() == [30, 40, 50]
    assert not x.clone().is_shared() and view.is_shared()
    assert torch.zeros(0).share_memory_().shape == (0,)


def test_views_taken_before_are_refused():
    x = torch.zeros(4)
    y = x[1:]
    with pytest.raises(RuntimeError, match="views the same memory"):
        x.share_memory_()
    del y
    x.share_memory_()


def test_modules_and_optimizers():
    model = torch.nn.Linear(2, 3).share_memory()
    assert model.weight.is_shared() and model.bias.is_shared()
    optimizer = torch.optim.Adagrad(model.parameters())
    optimizer.share_memory()
    assert all(kept["sum"].is_shared() for kept in optimizer.state.values())
