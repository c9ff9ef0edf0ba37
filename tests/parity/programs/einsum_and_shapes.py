"""Einsum-heavy code, indexing, shape juggling, reductions with many arguments."""
import torch
import torch.nn.functional as F

torch.manual_seed(0)
A, B, C = torch.randn(2, 3, 4), torch.randn(2, 4, 5), torch.randn(3, 4)
for eq, ops in [("bij,bjk->bik", (A, B)), ("bij->b", (A,)), ("bij,ij->b", (A, C)), ("...ij,...jk", (A, B)), ("ii", (torch.eye(3),)), ("ij->ji", (C,)), ("i,j->ij", (C[0], C[:, 0])),
                ("bij,bjk,ij->bk", (A, B, C)), ("bhqd,bhkd->bhqk", (torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 4))), ("ij,kj->ik", (C, C)), ("bij,bij->", (A, A)), ("ijk->kji", (A,))]:
    r = torch.einsum(eq, *ops)
    print(eq, r.shape, r.stride(), f"{r.sum():.4f}", r.is_contiguous())
print(torch.einsum(A, [0, 1, 2], B, [0, 2, 3], [0, 1, 3]).shape, torch.tensordot(A, B, dims=([2], [1])).shape, torch.tensordot(C, C, 2))
x = torch.arange(24).reshape(2, 3, 4)
print(x[..., -1], x[:, None].shape, x[x > 20], x[0, [0, 2], 1:3], x[:, torch.tensor([True, False, True])].shape, x[torch.tensor([1, 0]), torch.tensor([0, 2])], x[::1, ::2].stride(), x[..., None, :].shape)
x[x % 5 == 0] = -1
x[0, :, 1] = torch.tensor([7, 8, 9])
x[[0, 1], [1, 2], [2, 3]] += 100
print(x, x.flatten(1).shape, x.unflatten(2, (2, 2)).shape, x.permute(2, 0, 1).stride(), x.movedim(0, -1).shape, x.transpose(0, 2).contiguous().stride(), x.view(-1, 4).T.shape, x.swapaxes(0, 1).shape)
y = torch.randn(3, 4)
print(y.sum(1, keepdim=True).shape, y.mean((0, 1)), y.max(1), y.min(dim=0).indices, y.std(0, unbiased=False), y.var(dim=1, correction=0), y.argmax(), y.norm(p=1, dim=1), y.logsumexp(0), y.prod(1), y.median(), y.mode(0).values, y.quantile(torch.tensor([0.25, 0.75]), dim=1), y.cumsum(0)[-1], y.cummax(1).indices, y.amax((0, 1)), y.all(), (y > 0).any(0), y.aminmax(dim=1))
print(y.topk(2, dim=1), y.sort(descending=True, dim=0).values[0], y.argsort(1), y.kthvalue(2, dim=1).values, torch.unique(torch.tensor([3, 1, 1, 2]), return_inverse=True, return_counts=True), torch.bincount(torch.tensor([1, 1, 3]), minlength=5), torch.histc(y, 4, -2, 2))
print(torch.stack([y, y], -1).shape, torch.cat([y, y[:1]]).shape, torch.chunk(y, 3, 1)[0].shape, [t.shape for t in y.split([1, 3], 1)], [t.shape for t in torch.tensor_split(y, 3, dim=1)], y.repeat(2, 1, 2).shape, y.repeat_interleave(torch.tensor([1, 0, 2]), 0).shape, y.expand(2, -1, -1).stride(), y.tile(2).shape, y.roll((1, 1), (0, 1))[0, 0] == y[-1, -1], y.flip(0, 1)[0, 0] == y[-1, -1], y.rot90().shape)
print(torch.where(y > 0, y, 0.0).dtype, torch.where(y > 0)[0].shape, y.nonzero().shape, y.masked_fill(y < 0, 0).min(), y.masked_select(y > 0).shape, y.gather(1, y.argmax(1, keepdim=True)) == y.max(1, keepdim=True).values, torch.zeros(3, 5).scatter_(1, torch.tensor([[0], [2], [4]]), 1.0), torch.zeros(3).scatter_add_(0, torch.tensor([0, 0, 2]), torch.ones(3)), torch.zeros(3).index_add_(0, torch.tensor([1, 1]), torch.ones(2)), torch.zeros(2, 3).scatter_reduce(1, torch.tensor([[0, 0, 1], [2, 2, 2]]), torch.arange(6.0).view(2, 3), "amax"))
print(F.one_hot(torch.tensor([0, 2]), 3), F.pad(y, (1, 2), value=9.0).shape, F.pad(y[None], (1, 1), mode="reflect").shape, F.normalize(y, dim=1).norm(dim=1), F.cosine_similarity(y[:2], y[1:]), torch.cdist(y, y).diagonal(), F.interpolate(y[None, None], scale_factor=2, mode="bilinear", align_corners=False).shape, F.unfold(torch.randn(1, 2, 4, 4), 2).shape, F.grid_sample(torch.randn(1, 1, 3, 3), torch.zeros(1, 2, 2, 2), align_corners=True).shape)
print(torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")[0], torch.cartesian_prod(torch.arange(2), torch.arange(2)), torch.combinations(torch.arange(3)), torch.linspace(0, 1, 5), torch.logspace(0, 2, 3), torch.arange(0, 1, 0.25), torch.eye(2, 3), torch.full((2,), 7), torch.triu_indices(3, 3, 1), torch.tril(torch.ones(3, 3)), torch.block_diag(torch.ones(1, 2), torch.ones(1)), torch.vander(torch.arange(3)), torch.diag(torch.ones(2), 1), torch.diag_embed(torch.ones(2, 2)).shape, torch.bucketize(torch.tensor([0.5, 2.5]), torch.tensor([0.0, 1.0, 2.0])), torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 6]), right=True))
print(x.dtype, (x / 2).dtype, (x // 2).dtype, (x + 1.5).dtype, (x.to(torch.uint8) + 1).dtype, torch.result_type(x, 1.0), torch.promote_types(torch.int8, torch.float16), (x > 1).sum().dtype, x.float().mean().dtype, torch.tensor([1, 2.0]).dtype, torch.tensor([True]).sum(), torch.tensor(3).item(), torch.tensor([[1, 2], [3, 4]]).tolist(), x.float().half().double().dtype, torch.as_tensor([1, 2]).dtype, torch.can_cast(torch.float, torch.int))
for bad in (lambda: A @ C, lambda: torch.cat([y, y[:, :2]]), lambda: y.view(5, 5), lambda: torch.einsum("ij,jk->ik", y, y), lambda: x.mean(), lambda: y[5], lambda: y.sum(3), lambda: torch.stack([y, y[0]]), lambda: y.reshape(7, -1), lambda: y + torch.ones(3), lambda: torch.tensor([[1], [1, 2]]), lambda: y.expand(4, 4), lambda: y.permute(0), lambda: torch.ones(2).item(), lambda: y.index_select(0, torch.tensor([9])), lambda: y.gather(0, torch.zeros(1, dtype=torch.int32)), lambda: torch.zeros(2, dtype=torch.bool) - True, lambda: y.squeeze(5), lambda: torch.arange(3).softmax(0), lambda: F.cross_entropy(y, torch.tensor([0, 1, 9])), lambda: torch.randn(2, 3).inverse(), lambda: torch.linalg.cholesky(-torch.eye(2)), lambda: y.t().view(-1), lambda: F.linear(y, y.T.contiguous()), lambda: F.conv2d(torch.ones(1, 3, 4, 4), torch.ones(2, 4, 3, 3)), lambda: torch.full((2,), "a"), lambda: y.to("nonsense"), lambda: y.nonsense, lambda: torch.zeros(-1), lambda: y.chunk(0), lambda: torch.nn.Linear(3, 2)(y)):
    try:
        print(bad())
    except Exception as e:
        print("!", *[c.__name__ for c in type(e).__mro__ if c.__module__ == "builtins"])
