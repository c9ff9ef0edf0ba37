"""split, chunk and unbind: all pieces are outputs of one node, whose gradient is written into one tensor."""
import numpy as np
import pytest

import rustorch_py as torch
from rustorch_py.autograd import gradcheck, gradgradcheck

CUTS = {
    "split 2": (lambda x: x.split(2, 1), "SplitBackward0"),
    "split [1, 0, 4]": (lambda x: x.split([1, 0, 4], 1), "SplitWithSizesBackward0"),
    "split_with_sizes": (lambda x: torch.split_with_sizes(x, (3, 2), -1), "SplitWithSizesBackward0"),
    "chunk 3": (lambda x: x.chunk(3, 1), "SplitBackward0"),
    "chunk 1": (lambda x: x.chunk(1, 0), "SplitBackward0"),
    "unbind": (lambda x: x.unbind(1), "UnbindBackward0"),
}


@pytest.mark.parametrize("name", CUTS)
def test_gradients(name):
    cut, node = CUTS[name]
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    pieces = cut(x)
    assert len({p.grad_fn for p in pieces}) == 1 and pieces[0].grad_fn.name() == node
    weights = [torch.randn(p.shape, dtype=torch.float64) for p in pieces]
    assert gradcheck(lambda x: sum((p.tanh() * w).sum() for p, w in zip(cut(x), weights)), (x,))
    assert gradgradcheck(lambda x: sum((p.tanh() * w).sum() for p, w in zip(cut(x), weights)), (x,))


@pytest.mark.parametrize("name", CUTS)
def test_pieces_without_gradient_count_as_zeros(name):
    cut, _ = CUTS[name]
    x = torch.randn(3, 5, requires_grad=True)
    cut(x)[-1].exp().sum().backward()
    last = cut(x.detach())[-1]
    expected = np.zeros((3, 5), "float32")
    if last.dim() == 1:
        expected[:, -1] = last.exp().numpy()
    else:
        expected[:, 5 - last.shape[1]:] = last.exp().numpy()
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", CUTS)
def test_pieces_are_views_that_must_not_be_written_while_recorded(name):
    cut, _ = CUTS[name]
    x = torch.randn(3, 5, requires_grad=True)
    y = x * 2
    with pytest.raises(RuntimeError):
        cut(y)[0].add_(1)
    with torch.no_grad():
        piece = cut(y)[-1]
        piece.zero_()
    assert y._version == 1 and float(cut(y.detach())[-1].abs().sum()) == 0


def test_a_write_to_the_whole_renews_the_pieces_history():
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    y = x * 1
    a, b = y.chunk(2, 1)
    y.mul_(3)
    (a * 1 + b * 2).sum().backward()
    expected = np.full((4, 6), 3.0)
    expected[:, 3:] = 6
    np.testing.assert_array_equal(x.grad.numpy(), expected)
