"""Names of the top level and its small modules, used as programs use them, beside PyTorch's."""
import os
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rustorch_py as rt  # noqa: E402

BOTH = (torch, rt)


def lists(m, seed=0):
    rng = np.random.RandomState(seed)
    return [m.from_numpy(np.asarray(rng.rand(*shape) + 0.5, dtype="float32")) for shape in ((2, 3), (4,), ())]


UNARY = "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
CALLS = [*(f"m._foreach_{n}(a)" for n in UNARY.split()), *(f"m._foreach_{n}_(a)" for n in UNARY.split()),
         *(f"m._foreach_{n}{end}(a, {other})" for n in ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "clamp_min", "clamp_max") for end in ("", "_")
           for other in ("b", "1.5", "[1.0, 2.0, 3.0]")),
         "m._foreach_add(a, b, alpha=-0.5)", "m._foreach_add_(a, b, alpha=2)", "m._foreach_mul_(a, m.tensor(2.0))", "m._foreach_pow(2.0, a)",
         "m._foreach_addcmul_(a, b, a, value=0.5)", "m._foreach_addcdiv(a, b, a, [1.0, 2.0, 3.0])", "m._foreach_addcdiv(a, b, a, m.tensor([1.0, 2.0, 3.0]))",
         "m._foreach_lerp(a, b, 0.25)", "m._foreach_lerp_(a, b, 0.25)", "m._foreach_lerp(a, b, [0.1, 0.2, 0.3])", "m._foreach_norm(a)", "m._foreach_norm(a, 1)", "m._foreach_max(a)",
         "m._foreach_copy_(a, b)", "m._foreach_zero_(a)", "m._foreach_clone(a)",
         "m._foreach_add([], 1)", "m._foreach_add(a, [1])", "m._foreach_add(1, 1)", "m._foreach_add([1], 1)", "m._foreach_mul(a, b[:1])"]


@pytest.mark.parametrize("call", CALLS)
def test_foreach(call):
    found = []
    for m in BOTH:
        space = {"m": m, "a": lists(m), "b": lists(m, 1)}
        try:
            result = eval(call, space)
            found.append((type(result).__name__, [x.numpy() for x in result] if result is not None else None, [x.numpy() for x in space["a"]]))
        except Exception as error:
            found.append(error)
    if isinstance(found[0], Exception):
        assert isinstance(found[1], type(found[0])), found
        return
    assert found[0][0] == found[1][0]
    for one, two in zip(found[0][1:], found[1][1:]):
        for x, y in zip(one or [], two or []):
            np.testing.assert_allclose(y, x, rtol=2e-6, atol=1e-6)


def test_foreach_asks_a_class_for_its_own_method():
    class Loud(rt.Tensor):
        def zero_(self):
            return self.fill_(7)

        def neg_(self):
            return self.fill_(8)

    def some():
        return [rt.ones(2), rt.ones(2).as_subclass(Loud)]
    both, alone = some(), some()[1:]
    rt._foreach_zero_(both)
    rt._foreach_zero_(alone)
    assert [x.tolist() for x in both + alone] == [[0.0, 0.0], [7.0, 7.0], [7.0, 7.0]]
    rt._foreach_neg_(both)
    rt._foreach_neg_(alone)
    assert [x.tolist() for x in both + alone] == [[0.0, 0.0], [8.0, 8.0], [8.0, 8.0]]


@pytest.mark.parametrize("make", ["m.ones(5000)", "m.ones(6, 4).t()", "m.ones(6, 4)[:, 1:3]", "m.ones(3, dtype=m.bfloat16)", "m.ones(0)", "m.nn.Parameter(m.ones(3))",
                                  "m.ones(4, requires_grad=True) * 2", "m.ones(3, dtype=m.int64)"])
def test_foreach_zero(make):
    for m in BOTH:
        x = eval(make, {"m": m})
        version = x._version
        with m.set_grad_enabled(not x.is_leaf):
            m._foreach_zero_([x, m.ones(2)])
        assert not x.any() and x._version == version + 1
        if x.grad_fn is not None:
            assert type(x.grad_fn).__name__ in ("ZeroBackward0", "FillBackward0")


@pytest.mark.parametrize("call", ["sym_max(1, 2.5)", "sym_max(3, 2.5)", "sym_min(1, 2.5)", "sym_int(-2.7)", "sym_float(3)", "sym_not(True)", "sym_sum([1, 2, 3])",
                                  "is_warn_always_enabled()", "compiler.is_compiling()", "compiler.is_dynamo_compiling()",
                                  "compiler.disable(len)([1])", "compiler.disable()(len)([1])", "compiler.allow_in_graph(len)([1])", "accelerator.is_available()",
                                  "accelerator.device_count()", "accelerator.current_accelerator()", "xpu.is_available()", "xpu.device_count()",
                                  "get_device_module('cpu').__name__.split('.')[-1]", "is_storage(m.FloatStorage(1))", "storage.UntypedStorage(3).size()",
                                  "serialization.default_restore_location(m.ones(2), 'cpu').tolist()", "_assert(True, 'text')",
                                  "nn.quantized.FloatFunctional().add_relu(m.tensor([-3.0, 1]), m.tensor([1.0, 1])).tolist()",
                                  "nn.quantized.FloatFunctional().cat([m.ones(1), m.zeros(1)]).tolist()", "pixel_shuffle(m.arange(8.).view(1, 4, 1, 2), 2).tolist()",
                                  "channel_shuffle(m.arange(4.).view(1, 4, 1, 1), 2).flatten().tolist()", "GradScaler('cpu').is_enabled()"])
def test_small_names(call):
    m = torch
    theirs = eval("m." + call)
    m = rt
    assert eval("m." + call) == theirs


def test_small_refusals():
    with pytest.raises(RuntimeError, match="stance"):
        rt.compiler.set_stance("nothing")
    for m in BOTH:
        with pytest.raises(AssertionError, match="text"):
            m._assert(m.tensor(False), "text")
        with pytest.raises(RuntimeError):
            m.accelerator.synchronize()
        with pytest.raises(RuntimeError):
            m.nn.quantized.FloatFunctional()(m.ones(1))


@pytest.mark.parametrize("options", [dict(), dict(lr=0.1, betas=(0.5, 0.9)), dict(maximize=True, eps=1e-3)])
def test_sparse_adam(options):
    results = []
    for m in BOTH:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = m.nn.Embedding(6, 3, sparse=True)
            with m.no_grad():
                table.weight.copy_(m.arange(18.).view(6, 3))
            optimizer = m.optim.SparseAdam(table.parameters(), **options)
            for rows in ([1, 2, 1], [2, 5], [0], [1, 4]):
                optimizer.zero_grad()
                (table(m.tensor(rows)) ** 2).sum().backward()
                optimizer.step()
        results.append((table.weight.detach().numpy(), [s["step"] for s in optimizer.state.values()], repr(optimizer)))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-6)
    assert results[1][1:] == results[0][1:]
    for m in BOTH:
        for bad in (dict(lr=-1), dict(betas=(1.0, 0.9)), dict(eps=0)):
            with pytest.raises(ValueError):
                m.optim.SparseAdam([m.ones(1, requires_grad=True)], **bad)


def test_custom_operators_under_vmap_and_autocast():
    for m, space in ((torch, "small_names_t"), (rt, "small_names_r")):
        def scale(x: m.Tensor, k: float) -> m.Tensor:
            return x * k
        op = m.library.custom_op(f"{space}::scale", mutates_args=())(scale)
        seen = []

        def rule(info, in_dims, x, k):
            seen.append((info.batch_size, info.randomness, in_dims))
            return op(x, k), in_dims[0]
        op.register_vmap(rule)
        assert m.vmap(op, in_dims=(1, None))(m.ones(2, 3), 2.0).tolist() == [[2.0, 2.0]] * 3
        assert seen[0][0] == 3 and seen[0][1] == "error" and seen[0][2][1] is None
        op.register_autocast("cpu", m.bfloat16)
        assert op(m.ones(2), 2.0).dtype is m.float32
        with m.autocast("cpu", dtype=m.bfloat16):
            assert op(m.ones(2), 2.0).dtype is m.bfloat16
            assert op(m.ones(2, dtype=m.float64), 2.0).dtype is m.float64
        with pytest.raises((ValueError, RuntimeError)):
            m.library.register_autocast(op, "nowhere", m.bfloat16)


def _write(i, folder):
    with open(os.path.join(folder, str(i)), "w") as f:
        f.write(str(i))


def _fail(i):
    if i == 1:
        raise ValueError("from process 1")


def _leave(i):
    os._exit(3)


def test_spawn(tmp_path):
    from rustorch_py import multiprocessing as mp
    mp.start_processes(_write, (str(tmp_path),), nprocs=2, start_method="fork")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "1"]
    with pytest.raises(mp.ProcessRaisedException, match="from process 1") as caught:
        mp.start_processes(_fail, nprocs=2, start_method="fork")
    assert caught.value.error_index == 1
    with pytest.raises(mp.ProcessExitedException, match="exit code 3") as caught:
        mp.start_processes(_leave, start_method="fork")
    assert caught.value.exit_code == 3
    context = mp.start_processes(_write, (str(tmp_path),), nprocs=1, join=False, start_method="fork")
    while not context.join(timeout=10):
        pass
    assert context.join() and len(context.pids()) == 1


def test_event_file_records():
    from rustorch_py.utils.tensorboard.summary import hparams, scalar
    assert len(hparams({"lr": 0.1}, {"loss": 1.0})) == 3
    assert scalar("loss", rt.tensor(2.0)).value[0].simple_value == 2.0
    from rustorch_py.autograd.profiler import record_function
    with record_function("part"):
        pass


@pytest.mark.parametrize("reduce", ["sum", "mean", "prod", "max", "min"])
@pytest.mark.parametrize("initial", [None, 2.0])
def test_segment_reduce(reduce, initial):
    rng = np.random.RandomState(0)
    for shape, lengths, axis in (((6,), [2, 0, 3, 1], 0), ((6, 2), [1, 5, 0], 0), ((2, 4), [[1, 3], [4, 0]], 1), ((2, 3, 2), [[3, 0], [1, 2]], 1)):
        values, results = rng.rand(*shape) + 0.5, []
        for m in BOTH:
            x = m.from_numpy(values.copy()).requires_grad_()
            y = m.segment_reduce(x, reduce, lengths=m.tensor(lengths), axis=axis, initial=initial, unsafe=False)
            m.where(m.isfinite(y), y * y, m.zeros_like(y)).sum().backward()
            ends = m.nn.functional.pad(m.tensor(lengths).cumsum(-1), (1, 0))
            z = m.segment_reduce(x.detach(), reduce, offsets=ends, axis=axis, initial=initial)
            results.append((y.detach().numpy(), x.grad.numpy(), z.numpy()))
        for one, two in zip(*results):
            np.testing.assert_allclose(two, one, rtol=1e-12)
    for bad in (dict(lengths=[2, 2]), dict(lengths=[7, -1]), dict()):
        for m in BOTH:
            with pytest.raises(RuntimeError):
                m.segment_reduce(m.ones(6), reduce, **{k: m.tensor(v) for k, v in bad.items()})
