"""Checks of ring attention and context parallel: values and gradients of the whole sequence on one process."""
import _checks
import rustorch_py as torch
import rustorch_py.distributed as dist
import rustorch_py.nn.functional as F
from ranks_tensor import GPT
from rustorch_py import optim
from rustorch_py.distributed.device_mesh import init_device_mesh
from rustorch_py.distributed.tensor.experimental import context_parallel, context_parallel_unshard, ring_attention

R, N = dist.get_rank(), dist.get_world_size()
MESH = init_device_mesh("cpu", (N,))


def piece(x, even, dim=-2):
    parts = x.chunk(2 * N if even else N, dim)
    return torch.cat([parts[R], parts[2 * N - 1 - R]], dim) if even else parts[R]


def as_attention_of_the_whole_sequence():
    for dtype, tight in ((torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 3e-2)):
        for causal in (False, True):
            for even in (False, True):
                for heads, kept in ((4, 4), (4, 2)):
                    q, k, v, g = (torch.randn(2, h, 4 * N, 5, dtype=dtype) for h in (heads, kept, kept, heads))
                    whole = [t.clone().requires_grad_() for t in (q, k, v)]
                    expected = F.scaled_dot_product_attention(*whole, is_causal=causal, enable_gqa=True)
                    expected.backward(g)
                    mine = [piece(t, even).clone().requires_grad_() for t in (q, k, v)]
                    got = ring_attention(*mine, is_causal=causal, enable_gqa=True, load_balanced=even)
                    got.backward(piece(g, even))
                    assert got.dtype is dtype
                    torch.testing.assert_close(got.detach(), piece(expected.detach(), even), rtol=tight, atol=tight)
                    for a, b in zip(mine, whole):
                        torch.testing.assert_close(a.grad, piece(b.grad, even), rtol=10 * tight, atol=10 * tight)


def shapes_and_scales():
    q, k, v = (torch.randn(3 * N, n, dtype=torch.float64) for n in (4, 4, 6))
    got = ring_attention(*(piece(t, False) for t in (q, k, v)), scale=0.3)
    torch.testing.assert_close(got, piece(F.scaled_dot_product_attention(q, k, v, scale=0.3), False))
    x = torch.randn(2, 3, 2, 4, dtype=torch.float64)
    _checks.raises(RuntimeError, ring_attention, x, x[:, :, :1], x, match="same number of rows")
    _checks.raises(RuntimeError, ring_attention, x, x[:, :1], x[:, :1], match="3 heads, key 1")
    _checks.raises(RuntimeError, ring_attention, x[:, :, :1], x[:, :, :1], x[:, :, :1], load_balanced=True, match="even number")


def words(i, length):
    g = torch.Generator().manual_seed(i)
    x = torch.randint(0, 13, (2, length), generator=g)
    return x, x.roll(-1, 1)


def long_sequences_train_as_on_one_process():
    for length in (4 * N, 3 * N):                       # a piece from the front and one from the back; one piece
        torch.manual_seed(1)
        alone = GPT().double()
        torch.manual_seed(1)
        model = GPT().double()
        opts = [optim.AdamW(m.parameters(), 0.01) for m in (alone, model)]
        for i in range(3):
            x, y = words(i, length)
            opts[0].zero_grad()
            expected = F.cross_entropy(alone(x).flatten(0, 1), y.flatten())
            expected.backward()
            opts[0].step()
            opts[1].zero_grad()
            before = x.clone()
            with context_parallel(MESH, buffers=[x, y], buffer_seq_dims=[1, 1]):
                assert x.shape == (2, length // N)
                out = model(x)
                loss = F.cross_entropy(out.flatten(0, 1), y.flatten()) / N
                loss.backward()
                (back,) = context_parallel_unshard(MESH, [x], [1])
            assert torch.equal(back, before) and torch.equal(x, before)
            for p in model.parameters():
                dist.all_reduce(p.grad)
            opts[1].step()
            total = loss.detach().clone()
            dist.all_reduce(total)
            torch.testing.assert_close(total, expected.detach(), rtol=1e-9, atol=1e-9)
        for p, q in zip(alone.parameters(), model.parameters()):
            torch.testing.assert_close(p, q, rtol=1e-8, atol=1e-8)
    x, y = words(0, 4 * N)
    with context_parallel(MESH, buffers=[x, y], buffer_seq_dims=[1, 1], no_restore_buffers={y}):
        pass
    assert x.shape == (2, 4 * N) and y.shape == (2, 4)


def errors():
    x = torch.zeros(2, 4 * N, 3)
    with context_parallel(MESH, buffers=[x], buffer_seq_dims=[1]):
        _checks.raises(ValueError, F.scaled_dot_product_attention, x, x, x, torch.ones(4, 4), match="attn_mask")
    assert F.scaled_dot_product_attention(x, x, x, dropout_p=0.5).shape == x.shape
    _checks.raises(ValueError, context_parallel(MESH, buffers=[x], buffer_seq_dims=[]).__enter__, match="same number")
    if N > 1:
        _checks.raises(RuntimeError, context_parallel(MESH, buffers=[torch.zeros(N + 1)], buffer_seq_dims=[0]).__enter__, match="not a multiple")
    _checks.raises(ValueError, context_parallel(MESH, buffers=[x], buffer_seq_dims=[1], no_restore_buffers={torch.zeros(1)}).__enter__, match="subset")


CHECKS = [as_attention_of_the_whole_sequence, shapes_and_scales, long_sequences_train_as_on_one_process, errors]
