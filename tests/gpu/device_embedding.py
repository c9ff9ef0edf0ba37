"""Gradients of picked rows: sorted, summed up in one order, the same bits each time."""
import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py.tensor import _embedding

F = rt.nn.functional
rng = np.random.default_rng(9)


def want(index, g, rows, skip=-1, factor=None):
    out = np.zeros((rows, g.shape[1]))
    wide = g.double().numpy() * (1 if factor is None else factor[:, None])
    np.add.at(out, index[index != skip], wide[index != skip])
    return out


@pytest.mark.parametrize("dtype", (rt.float32, rt.bfloat16, rt.float64, rt.float16))
@pytest.mark.parametrize("count, rows, width", ((1, 3, 8), (500, 40, 64), (5000, 3, 24), (3000, 70000, 5), (700, 300, 1030)))
def test_sums_of_rows(dtype, count, rows, width):
    index = rng.integers(0, rows, count)
    index[count // 3: count // 2] = rows - 1                       # one row over many chunks
    g = rt.from_numpy(rng.standard_normal((count, width))).to(dtype)
    table = rt.zeros(rows, width, dtype=dtype, device="cuda").requires_grad_()
    where = rt.from_numpy(index).cuda()
    grads = []
    for _ in range(2):
        table.grad = None
        F.embedding(where, table).backward(g.cuda())
        grads.append(table.grad.cpu())
    assert rt.equal(*grads) and grads[0].dtype == dtype
    exact = want(index, g, rows)
    unit = {rt.float32: 2e-6, rt.float64: 1e-14, rt.float16: 1e-3, rt.bfloat16: 8e-3}[dtype]
    np.testing.assert_allclose(grads[0].double().numpy(), exact, rtol=unit, atol=unit * (1 if unit > 1e-4 else 20))


def test_what_is_left_out_and_scaled():
    index = rng.integers(0, 6, 400)
    for dtype, unit in ((rt.float32, 1e-5), (rt.bfloat16, 1e-2)):
        g = rt.from_numpy(rng.standard_normal((400, 32))).to(dtype)
        table = rt.zeros(6, 32, dtype=dtype, device="cuda").requires_grad_()
        F.embedding(rt.from_numpy(index).cuda(), table, padding_idx=5, scale_grad_by_freq=True).backward(g.cuda())
        factor = (1 / np.bincount(index, minlength=6))[index]
        if dtype == rt.bfloat16:
            factor = rt.from_numpy(factor).to(dtype).double().numpy()
        np.testing.assert_allclose(table.grad.cpu().double().numpy(), want(index, g, 6, 5, factor), rtol=unit, atol=unit)
        assert table.grad[5].abs().sum().item() == 0


def test_packs_that_begin_elsewhere_and_second_gradients():
    index = rt.tensor([1, 0, 1, 1, 2]).cuda()
    table = rt.zeros(3, 8, device="cuda").requires_grad_()
    g = rt.from_numpy(rng.standard_normal((5, 9)).astype(np.float32)).cuda()[:, 1:].requires_grad_()
    grad, = rt.autograd.grad(F.embedding(index, table), table, g, create_graph=True)
    np.testing.assert_allclose(grad.detach().cpu().double().numpy(), want(index.cpu().numpy(), g.detach().cpu(), 3), rtol=1e-6)
    back, = rt.autograd.grad(grad, g, rt.arange(3.0).reshape(3, 1).expand(3, 8).cuda())
    assert rt.equal(back.cpu(), index.cpu().float().reshape(5, 1).expand(5, 8))


def test_an_index_out_of_range():
    with pytest.raises(RuntimeError, match="index 3 is out of bounds"):
        _embedding.embedding_dense_backward(rt.ones(2, 8, device="cuda"), rt.tensor([0, 3]).cuda(), 3, -1, False).cpu()
    assert _embedding.embedding_dense_backward(rt.ones(2, 8, device="cuda"), rt.tensor([0, 2]).cuda(), 3, -1, False).sum().item() == 16
