"""Sparse tensors against the dense ones that they stand for; gradients by gradcheck; what is refused and by which name."""
import copy
import pickle

import pytest

import rustorch_py as torch
from rustorch_py.autograd import gradcheck
from rustorch_py.errors import UnsupportedOpError

INDICES = torch.tensor([[2, 0, 2, 1, 0], [1, 3, 1, 0, 2]])
VALUES = torch.tensor([1., -2., 3., 4., 5.], dtype=torch.float64)


def matrices():
    s = torch.sparse_coo_tensor(INDICES, VALUES, (3, 4))
    return {"coo": s, "coalesced": s.coalesce(), "csr": s.to_sparse_csr(), "csc": s.to_sparse_csc()}


@pytest.mark.parametrize("kind", ["coo", "coalesced", "csr", "csc"])
def test_as_the_dense_tensor(kind):
    s = matrices()[kind]
    d = torch.zeros(3, 4, dtype=torch.float64).index_put(tuple(INDICES), VALUES, accumulate=True)
    x, v = torch.randn(4, 2, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    assert torch.equal(s.to_dense(), d) and torch.equal(s.to_sparse().to_dense(), d) and s.shape == d.shape and s.dtype is d.dtype
    for got, expected in ((s @ x, d @ x), (s @ v, d @ v), (torch.mm(s, x), d @ x), (torch.sparse.mm(s, x), d @ x), (x.t() @ s.t(), x.t() @ d.t()), (s.sum(), d.sum()),
                          ((s * 3).to_dense(), d * 3), ((s / 2).to_dense(), d / 2), ((-s).to_dense(), -d), ((s + s).to_dense(), 2 * d), (s.t().to_dense(), d.t()),
                          ((s - s * 2).to_dense(), -d), (d + s, 2 * d), ((s * d).to_dense(), d * d), ((s @ s.t()).to_dense(), d @ d.t()), (s.abs().to_dense(), d.abs()),
                          (torch.sparse.sum(s, 0).to_dense(), d.sum(0)), (s[1].to_dense(), d[1]), (s[:, 1:3].to_dense(), d[:, 1:3]), (s[2, 1], d[2, 1]),
                          (s.index_select(0, torch.tensor([2, 2, 0])).to_dense(), d[[2, 2, 0]]), (torch.cat([s, s]).to_dense(), torch.cat([d, d])),
                          (torch.stack([s, s], 1).to_dense(), torch.stack([d, d], 1)), (s.float().to_dense(), d.float()), (s.norm(), d.norm()),
                          (torch.sparse.softmax(s, 1).to_dense().sum(1), torch.ones(3, dtype=torch.float64)), (copy.deepcopy(s).to_dense(), d),
                          (pickle.loads(pickle.dumps(s)).to_dense(), d), (torch.addmm(x[:3], s, x), x[:3] + d @ x)):
        torch.testing.assert_close(got, expected)


def test_gradients():
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    v = VALUES.clone().requires_grad_()

    def sparse(values):
        return torch.sparse_coo_tensor(INDICES, values, (3, 4))
    for fn in (lambda a, b: torch.sparse.mm(sparse(a), b), lambda a, b: sparse(a).coalesce() @ b, lambda a, b: b.t() @ sparse(a).t(),
               lambda a, b: (sparse(a) @ sparse(a).t()).to_dense() * b.sum(), lambda a, b: torch.sparse.softmax(sparse(a), 0).to_dense() + b.sum(),
               lambda a, b: torch.sparse.sum(sparse(a), 1).to_dense() * b[:3, 0], lambda a, b: sparse(a).to_sparse_csr() @ b,
               lambda a, b: torch.sparse.mm(sparse(a), b, "mean")):
        assert gradcheck(fn, (v, x))
    leaf = torch.sparse_coo_tensor(INDICES, VALUES, (3, 4), requires_grad=True)
    (leaf @ x.detach()).sum().backward()
    assert leaf.is_leaf and leaf.grad.is_sparse and torch.allclose(leaf.grad._values(), x.detach().sum(1)[INDICES[1]])


def test_requires_grad_in_place():
    s = torch.sparse_coo_tensor(INDICES, VALUES.clone(), (3, 4)).requires_grad_()
    assert s.requires_grad and s._values().requires_grad
    s.to_dense().sum().backward()
    assert torch.equal(s.grad._values(), torch.ones(5, dtype=torch.float64))


def test_a_graph_layer_trains():
    torch.manual_seed(0)
    adjacency = torch.eye(5).roll(1, 0).add(torch.eye(5)).to_sparse()
    h, y = torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 1])
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(torch.spmm(adjacency, layer(h)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_hybrid_and_empty():
    s = torch.sparse_coo_tensor([[1, 0, 1]], torch.arange(6.).reshape(3, 2), (3, 2))
    assert s.sparse_dim() == 1 and s.dense_dim() == 1 and s.coalesce()._nnz() == 2
    assert torch.equal(s.to_dense(), torch.tensor([[2., 3.], [4., 6.], [0., 0.]]))
    empty = torch.sparse_coo_tensor((2, 3))
    assert empty._nnz() == 0 and torch.equal(empty.to_dense(), torch.zeros(2, 3)) and torch.equal(empty @ torch.ones(3, 1), torch.zeros(2, 1))


def test_refusals():
    s = matrices()["coo"]
    for call, message in ((lambda: s.exp(), "exp"), (lambda: s.view(12), "view"), (lambda: torch.linalg.inv(s), "inv"), (lambda: torch.conv1d(s, s), "conv1d"),
                          (lambda: torch.ones(3, 4)[s], "sparse"), (lambda: torch.ones(2, 2).to_sparse(layout=torch.sparse_bsr), "block")):
        with pytest.raises(UnsupportedOpError, match=message):
            call()
    with pytest.raises(RuntimeError, match="uncoalesced"):
        s.indices()
    with pytest.raises(RuntimeError, match="size is inconsistent with indices"):
        torch.sparse_coo_tensor([[0, 3]], [1., 1.], (2,))
    with pytest.raises(RuntimeError, match="rise from 0"):
        torch.sparse_csr_tensor([0, 2, 1], [0, 1], [1., 1.], (2, 2))
    with pytest.raises(TypeError):
        s.numpy()
