"""CUDA graphs: capture and replay, private memory, random numbers, graphed callables and training steps."""
import pytest

import rustorch_py as rt
from rustorch_py.cuda import _backend

assert rt.cuda.is_available()
SOFTWARE = rt.cuda.get_device_name().startswith("Software")


def test_capture_and_replay():
    x = rt.ones(4, device="cuda")
    y = x * 2 + 1                                             # kernels are compiled before a capture
    g = rt.cuda.CUDAGraph()
    with rt.cuda.graph(g):
        assert rt.cuda.is_current_stream_capturing()
        y = x * 2 + 1
        z = y.sum()
    assert not rt.cuda.is_current_stream_capturing()
    for value in (1.0, 5.0):
        x.fill_(value)
        g.replay()
        assert y.cpu().tolist() == [2 * value + 1] * 4 and z.item() == 4 * (2 * value + 1)
    other = [rt.empty(4, device="cuda").data_ptr() for _ in range(20)]
    assert y.data_ptr() not in other
    with pytest.raises(RuntimeError, match="already owns"):
        with rt.cuda.graph(g):
            pass
    g.reset()
    with pytest.raises(RuntimeError, match="without a preceding"):
        g.replay()
    with pytest.raises(RuntimeError, match="non-default stream"):
        rt.cuda.CUDAGraph().capture_begin()


def test_what_cannot_be_captured_says_so():
    x = rt.ones(4, device="cuda")
    (x + 1).sum()
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        with rt.cuda.graph(rt.cuda.CUDAGraph()):
            (x + 1).sum().item()
    assert (x + 1).sum().item() == 8                          # all is as before


def test_random_numbers_advance():
    rt.manual_seed(3)
    eager = [rt.rand(6, device="cuda").cpu() for _ in range(4)]
    rt.manual_seed(3)
    first = rt.rand(6, device="cuda")
    g = rt.cuda.CUDAGraph()
    with rt.cuda.graph(g):
        drawn = rt.rand(6, device="cuda")
    assert rt.equal(first.cpu(), eager[0])
    for want in eager[1:3]:
        g.replay()
        assert rt.equal(drawn.cpu(), want)
    assert rt.equal(rt.rand(6, device="cuda").cpu(), eager[3])


def test_graphs_share_memory():
    x = rt.ones(1000, device="cuda")
    x.exp().log()
    pool = rt.cuda.graph_pool_handle()
    a, b = rt.cuda.CUDAGraph(), rt.cuda.CUDAGraph()
    with rt.cuda.graph(a, pool=pool):
        y = x.exp()
    with rt.cuda.graph(b, pool=a.pool()):
        z = y.log()
    x.fill_(2.0)
    a.replay()
    b.replay()
    assert abs(z.mean().item() - 2) < 1e-5
    del a, b, y, z
    assert rt.zeros(1000, device="cuda").sum().item() == 0


def test_graphed_callables():
    rt.manual_seed(0)
    model = rt.nn.Sequential(rt.nn.Linear(4, 8), rt.nn.Tanh(), rt.nn.Linear(8, 2)).cuda()
    x = rt.randn(3, 4, device="cuda", requires_grad=True)
    want = model(x)
    want.sum().backward()
    grads = [p.grad.clone() for p in model.parameters()] + [x.grad.clone()]
    sample = rt.zeros(3, 4, device="cuda", requires_grad=True)
    graphed = rt.cuda.make_graphed_callables(model, (sample,))
    assert graphed is model
    for p in model.parameters():
        p.grad = None
    x.grad = None
    out = graphed(x)
    assert rt.allclose(out, want, atol=1e-6)
    out.sum().backward()
    for got, wanted in zip([p.grad for p in model.parameters()] + [x.grad], grads):
        assert rt.allclose(got, wanted, atol=1e-6)
    model.eval()
    assert rt.allclose(model(x), want, atol=1e-6)              # not captured in this mode: as before
    double, = (rt.cuda.make_graphed_callables(lambda t: (t * 2, {"third": t * 3}), (rt.ones(2, device="cuda"),)),)
    two, rest = double(rt.full((2,), 5.0, device="cuda"))
    assert two.cpu().tolist() == [10, 10] and rest["third"].cpu().tolist() == [15, 15]


@pytest.mark.parametrize("method", ["SGD", "Adam"])
def test_a_graphed_step_is_the_eager_one(method):
    def run(graphed):
        rt.manual_seed(0)
        model = rt.nn.Sequential(rt.nn.Linear(3, 8), rt.nn.Tanh(), rt.nn.Dropout(0.25), rt.nn.Linear(8, 1)).cuda()
        optimizer = getattr(rt.optim, method)(model.parameters(), lr=0.05)
        batches = [(rt.randn(4, 3, generator=rt.Generator().manual_seed(i)), rt.randn(4, 1, generator=rt.Generator().manual_seed(50 + i))) for i in range(6)]

        def loss_of(x, y):
            return rt.nn.functional.mse_loss(model(x), y)

        if graphed:
            step = rt.cuda.make_graphed_step(loss_of, optimizer, rt.zeros(4, 3, device="cuda"), rt.zeros(4, 1, device="cuda"))
        curve = []
        for i, (x, y) in enumerate(batches):
            if i == 3:
                optimizer.param_groups[0]["lr"] = 0.01
            if graphed:
                before = _backend.launches()
                loss = step(x, y)
                assert _backend.launches() - before <= (5 if i else 60)     # the batch, seed and offset, and the optimizer's launch
            else:
                optimizer.zero_grad()
                loss = loss_of(x.cuda(), y.cuda())
                loss.backward()
                optimizer.step()
            curve.append(loss.item())
        return curve

    eager, graphed = run(False), run(True)
    assert all(abs(a - b) < 1e-5 for a, b in zip(eager, graphed)), (eager, graphed)


@pytest.mark.skipif(not SOFTWARE, reason="the software device counts")
def test_kernels_may_begin_early_but_for_captured_ones():
    early = _backend.library().rt_soft_early
    x = rt.ones(8, device="cuda")
    before = early(), _backend.launches()
    x + x
    assert (early(), _backend.launches()) == (before[0] + 1, before[1] + 1)
    with rt.cuda.graph(rt.cuda.CUDAGraph()):
        now = early()
        x + x
        assert early() == now
