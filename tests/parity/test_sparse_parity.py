"""Sparse tensors beside PyTorch's: values, indices, layouts, printing, gradients, exception types."""
import warnings

import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402


def coo(T, dtype=None, **kwargs):
    """3 x 4, unsorted, with a repetition."""
    return T.sparse_coo_tensor(T.tensor([[2, 0, 2, 1, 0], [1, 3, 1, 0, 2]]), T.tensor([1., 2., 3., 4., 5.], dtype=dtype or T.float64), (3, 4), **kwargs)


def csr(T):
    return T.sparse_csr_tensor(T.tensor([0, 2, 2, 3]), T.tensor([0, 3, 1]), T.tensor([1., 2., 3.], dtype=T.float64), (3, 4))


def hybrid(T):
    return T.sparse_coo_tensor(T.tensor([[1, 0, 1]]), T.tensor([[1., 2.], [3., 4.], [5., 6.]], dtype=T.float64), (3, 2))


def dense(T, *shape):
    n = 1
    for s in shape:
        n *= s
    return T.tensor([((5 * i) % 7) - 3. for i in range(n)], dtype=T.float64).reshape(shape)


PROGRAMS = {
    "coo": coo, "csr": csr, "hybrid": hybrid, "float32": lambda T: coo(T, T.float32), "half": lambda T: coo(T, T.float16), "int": lambda T: coo(T, T.int32),
    "no size": lambda T: T.sparse_coo_tensor([[0, 2], [1, 0]], [1., 2.]), "empty": lambda T: T.sparse_coo_tensor((2, 3)),
    "empty dtype": lambda T: T.sparse_coo_tensor(size=(2, 3), indices=T.zeros(2, 0, dtype=T.int64), values=T.zeros(0, dtype=T.float64)),
    "requires_grad": lambda T: coo(T, requires_grad=True), "coalesce": lambda T: coo(T).coalesce(), "coalesce hybrid": lambda T: hybrid(T).coalesce(),
    "to_dense": lambda T: coo(T).to_dense(), "to_dense csr": lambda T: csr(T).to_dense(), "to_dense hybrid": lambda T: hybrid(T).to_dense(),
    "to_sparse": lambda T: dense(T, 3, 4).relu().to_sparse(), "to_sparse 1": lambda T: dense(T, 3, 4).relu().to_sparse(1),
    "to_sparse_csr": lambda T: dense(T, 3, 4).relu().to_sparse_csr(), "to_sparse_csc": lambda T: dense(T, 3, 4).relu().to_sparse_csc(),
    "to_sparse layout": lambda T: dense(T, 3, 4).relu().to_sparse(layout=T.sparse_csr), "coo to csr": lambda T: coo(T).to_sparse_csr(),
    "coo to csc": lambda T: coo(T).to_sparse_csc(), "csr to coo": lambda T: csr(T).to_sparse(), "csr to csc": lambda T: csr(T).to_sparse_csc(),
    "csr parts": lambda T: [csr(T).crow_indices(), csr(T).col_indices(), csr(T).values()],
    "parts": lambda T: [coo(T).coalesce().indices(), coo(T).coalesce().values(), coo(T)._indices(), coo(T)._values()],
    "answers": lambda T: [str(coo(T).layout), coo(T).is_sparse, coo(T).is_coalesced(), coo(T).coalesce().is_coalesced(), coo(T)._nnz(), csr(T)._nnz(),
                          coo(T).sparse_dim(), hybrid(T).dense_dim(), tuple(coo(T).shape), coo(T).dim(), coo(T).numel(), len(coo(T)), csr(T).is_sparse_csr,
                          csr(T).is_sparse, T.ones(2).is_sparse, T.ones(2).is_sparse_csr, T.is_tensor(coo(T)), isinstance(coo(T), T.Tensor),
                          coo(T).dtype == T.float64, str(csr(T).layout), coo(T).device.type],
    "mul": lambda T: coo(T) * 2, "rmul": lambda T: 2 * coo(T), "div": lambda T: coo(T) / 4, "neg": lambda T: -coo(T), "add": lambda T: coo(T).coalesce() + coo(T).coalesce(),
    "sub": lambda T: coo(T).coalesce() - (coo(T) * 3).coalesce(), "dense add": lambda T: dense(T, 3, 4) + coo(T), "mul sparse": lambda T: coo(T).coalesce() * (coo(T).coalesce() * 2),
    "mul dense": lambda T: coo(T) * dense(T, 3, 4), "csr mul": lambda T: csr(T) * 3, "csr add": lambda T: csr(T) + csr(T), "pow": lambda T: coo(T).pow(2),
    "sqrt": lambda T: coo(T).sqrt(), "abs": lambda T: (-coo(T)).abs(), "relu": lambda T: T.relu(-coo(T)), "float": lambda T: coo(T).float(),
    "bool": lambda T: coo(T).coalesce().bool(), "clone": lambda T: coo(T).clone(), "zeros_like": lambda T: T.zeros_like(coo(T)),
    "t": lambda T: coo(T).t(), "transpose": lambda T: coo(T).transpose(0, 1), "T": lambda T: coo(T).T, "csr t": lambda T: csr(T).t(),
    "unsqueeze": lambda T: coo(T).unsqueeze(0), "index_select": lambda T: coo(T).index_select(1, T.tensor([1, 0, 1])).coalesce(), "row": lambda T: coo(T)[2],
    "row column": lambda T: coo(T).coalesce()[0, 3], "cat": lambda T: T.cat([coo(T), coo(T)], 1),
    "sum": lambda T: T.sparse.sum(coo(T)), "sum 0": lambda T: T.sparse.sum(coo(T), 0), "sum 1": lambda T: T.sparse.sum(coo(T), [1]), "method sum": lambda T: coo(T).sum(),
    "norm": lambda T: coo(T).norm(), "softmax": lambda T: T.sparse.softmax(coo(T), 1), "log_softmax": lambda T: T.sparse.log_softmax(coo(T), 0),
    "mm": lambda T: T.sparse.mm(coo(T), dense(T, 4, 2)), "matmul": lambda T: coo(T) @ dense(T, 4, 2), "mv": lambda T: coo(T).mv(dense(T, 4)),
    "matmul vector": lambda T: coo(T) @ dense(T, 4), "dense first": lambda T: dense(T, 2, 3) @ coo(T), "spmm": lambda T: T.spmm(coo(T), dense(T, 4, 2)),
    "torch.mm": lambda T: T.mm(coo(T), dense(T, 4, 2)), "csr mm": lambda T: csr(T) @ dense(T, 4, 2), "sparse sparse": lambda T: T.sparse.mm(coo(T), coo(T).t()).to_dense(),
    "csr csr": lambda T: (csr(T) @ csr(T).t().to_sparse_csr()).to_dense(), "addmm": lambda T: T.sparse.addmm(dense(T, 3, 2), coo(T), dense(T, 4, 2), beta=2., alpha=.5),
    "torch.addmm": lambda T: T.addmm(dense(T, 3, 2), coo(T), dense(T, 4, 2)), "spdiags": lambda T: T.sparse.spdiags(dense(T, 2, 3), T.tensor([0, 1]), (3, 4)),
    "sparse_mask": lambda T: dense(T, 3, 4).sparse_mask(coo(T).coalesce()), "legacy": lambda T: T.sparse.FloatTensor(T.tensor([[0], [1]]), T.tensor([2.]), T.Size([2, 2])),
}


def same(ours, theirs):
    if isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs)
        for o, t in zip(ours, theirs):
            same(o, t)
        return
    if not isinstance(theirs, torch.Tensor):
        assert ours == theirs
        return
    assert str(ours.layout) == str(theirs.layout) and tuple(ours.shape) == tuple(theirs.shape) and ours.dtype.__repr__() == repr(theirs.dtype)
    assert ours.requires_grad == theirs.requires_grad
    if theirs.layout is torch.strided:
        torch.testing.assert_close(torch.tensor(ours.tolist(), dtype=theirs.dtype).reshape(theirs.shape), theirs)
    elif theirs.layout is torch.sparse_coo:
        assert ours._indices().tolist() == theirs._indices().tolist() and ours.is_coalesced() == theirs.is_coalesced()
        same(ours._values().detach(), theirs._values().detach())
        assert repr(ours) == repr(theirs)
    else:
        names = ("crow_indices", "col_indices") if theirs.layout is torch.sparse_csr else ("ccol_indices", "row_indices")
        assert all(getattr(ours, n)().tolist() == getattr(theirs, n)().tolist() for n in names)
        same(ours.values(), theirs.values())
        assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(PROGRAMS[name](rt), PROGRAMS[name](torch))


GRADS = {
    "mm": lambda T, s, d: T.sparse.mm(s, d), "matmul": lambda T, s, d: s @ d, "to_dense": lambda T, s, d: s.to_dense(), "scaled": lambda T, s, d: T.sparse.mm(s * 2, d),
    "sum": lambda T, s, d: T.sparse.sum(s), "sum 0": lambda T, s, d: T.sparse.sum(s, 0).to_dense(), "transposed": lambda T, s, d: T.mm(s.t(), s @ d),
    "addition": lambda T, s, d: (s + s).to_dense(), "softmax": lambda T, s, d: T.sparse.softmax(s, 1).to_dense(), "dense plus": lambda T, s, d: d[:3, :1] * (d.sum() + s.to_dense()),
}


@pytest.mark.parametrize("name", GRADS)
def test_gradients_of_values_and_of_the_dense_operand(name):
    got = []
    for T in (torch, rt):
        v = T.tensor([1., 2., 3., 4.], dtype=T.float64, requires_grad=True)
        d = dense(T, 4, 2).requires_grad_()
        s = T.sparse_coo_tensor(T.tensor([[0, 0, 1, 2], [0, 3, 1, 2]]), v, (3, 4))
        out = GRADS[name](T, s, d)
        (out * out).sum().backward()
        got.append([None if x.grad is None else x.grad.tolist() for x in (v, d)])
    for ours, theirs in zip(got[1], got[0]):
        if theirs is None:
            assert ours is None
        else:
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs))


BAD = {
    "nnz": lambda T: T.sparse_coo_tensor([[0, 1]], [1.]), "negative": lambda T: T.sparse_coo_tensor([[-1]], [1.]), "indices 1-d": lambda T: T.sparse_coo_tensor([0, 1], [1., 2.]),
    "size": lambda T: T.sparse_coo_tensor([[0]], [1.], (2, 2)),
    "indices": lambda T: coo(T).indices(), "values": lambda T: coo(T).values(), "add dense": lambda T: coo(T) + dense(T, 3, 4), "shapes": lambda T: coo(T) + coo(T).t(),
    "exp": lambda T: coo(T).exp(), "view": lambda T: coo(T).view(12), "inner": lambda T: coo(T) @ dense(T, 3, 4), "coalesce dense": lambda T: dense(T, 2).coalesce(),
    "crow coo": lambda T: coo(T).crow_indices(), "nonzero": lambda T: coo(T).nonzero(), "row range": lambda T: coo(T)[3], "to_sparse 3": lambda T: dense(T, 3, 4).to_sparse(3),
}


@pytest.mark.parametrize("name", BAD)
def test_refusals(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(Exception) as theirs:
            BAD[name](torch)
        with pytest.raises(type(theirs.value)):
            BAD[name](rt)
