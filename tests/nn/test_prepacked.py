"""Weights that stay packed between calls: the bits of the loop that packs, and never those of a weight that was written to."""
import copy
import ctypes
import gc
import os
import pickle
import threading
import warnings

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import nn
from rustorch_py.tensor import _gemm

F = nn.functional


@pytest.fixture(autouse=True)
def restore():
    threads, limit, fixed = rt.get_num_threads(), rt.config.get_prepack_limit(), rt.config.is_deterministic()
    yield
    rt.config.use_deterministic(fixed)
    rt.set_num_threads(threads)
    rt.config.set_prepack_limit(limit)


def unpacked(layer, x):
    """layer(x) by the loop that packs in each call."""
    limit = rt.config.get_prepack_limit()
    rt.config.set_prepack_limit(0)
    try:
        with rt.no_grad():
            return layer(x)
    finally:
        rt.config.set_prepack_limit(limit)


def warm(layer, x, times=3):
    with rt.no_grad():
        for _ in range(times):
            y = layer(x)
    return y


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bits_as_packing_in_each_call(level, threads):
    rt.set_num_threads(threads)
    kept = 0
    for dtype in (rt.float32, rt.float64, rt.bfloat16):
        for m, k, n in ((26, 40, 70), (64, 128, 384), (64, 784, 512), (33, 300, 65), (64, 1500, 130), (190, 64, 1000), (50, 513, 33), (30, 4096, 9), (64, 512, 10)):
            rt.manual_seed(m)
            for bias in (True, False):
                layer, x = nn.Linear(k, n, bias=bias).to(dtype), rt.randn(m, k).to(dtype)
                want = unpacked(layer, x)
                assert not _gemm.is_prepacked(layer.weight)
                assert rt.equal(warm(layer, x), want)
                kept += _gemm.is_prepacked(layer.weight) and dtype is not rt.bfloat16
                for given in (rt.randn(2, m // 2, k).to(dtype), rt.randn(k, m).to(dtype).T, rt.randn(m, 2 * k).to(dtype)[:, ::2]):
                    assert rt.equal(warm(layer, given, 1), unpacked(layer, given))
                for act in (nn.ReLU(), nn.GELU(), nn.GELU(approximate="tanh")):
                    both = nn.Sequential(layer, act)
                    assert rt.equal(warm(both, x), unpacked(both, x))
    assert kept >= {"avx512": 18, "avx2": 4, "baseline": 0}[level]      # pieces of few rows or columns take dot products, which read b as it lies


@pytest.mark.skipif(rt.config.simd_level() != "avx512", reason="products of bfloat16 by pairs need AVX-512")
def test_bfloat16_weights_are_kept():
    """Where pairs multiply, from the rows on that no dot products take; not by tile registers, whose blocks differ."""
    layer, few, many = nn.Linear(65, 300).to(rt.bfloat16), rt.randn(12, 65).to(rt.bfloat16), rt.randn(13, 65).to(rt.bfloat16)
    warm(layer, few)
    assert not _gemm.is_prepacked(layer.weight)
    y = warm(layer, many)
    flags = open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else ""
    if "avx512_bf16" in flags and "amx_bf16" not in flags and "AuthenticAMD" in flags:
        assert _gemm.is_prepacked(layer.weight)
    with rt.no_grad():
        layer.weight.mul_(2)
        assert not rt.equal(layer(many), y) and rt.equal(layer(many), unpacked(layer, many))


def test_results_do_not_depend_on_threads_where_that_was_asked_for():
    rt.config.use_deterministic(True)
    layer, x = nn.Linear(300, 200), rt.randn(64, 300)
    results = []
    for threads in (1, 2, 3, 5):
        rt.set_num_threads(threads)
        results.append(warm(layer, x))
    assert all(rt.equal(r, results[0]) for r in results)
    assert _gemm.is_prepacked(layer.weight) or rt.config.simd_level() != "avx512"


def state_of(like):
    rt.manual_seed(7)
    return {name: rt.randn(t.shape) for name, t in like.state_dict().items()}


def optimizer_step(kind, **options):
    def write(layer):
        x = rt.randn(4, layer.in_features)
        optimizer = getattr(rt.optim, kind)(layer.parameters(), lr=0.1, **options)
        layer(x).square().sum().backward()
        optimizer.step()
    return write


def by_numpy(layer):
    layer.weight.detach().numpy()[3] += 1


def by_old_numpy(layer):
    layer.array[2] -= 1


def by_pointer(layer):
    (ctypes.c_float * 4).from_address(layer.weight.data_ptr())[1] = 9.0


def by_storage_pointer(layer):
    (ctypes.c_float * 4).from_address(layer.weight.untyped_storage().data_ptr())[0] = 5.0


def by_dlpack(layer):
    np.from_dlpack(layer.weight.detach())
    rt.from_dlpack(layer.weight.detach().__dlpack__()).add_(1)


def by_view(layer):
    with rt.no_grad():
        layer.weight[5:7, 1:].mul_(3)


def by_old_view(layer):
    layer.view.fill_(0.25)


def by_memoryview(layer):
    with memoryview(layer.weight.detach()) as view:
        view[2, 3] = 4.0


def by_thread(layer):
    thread = threading.Thread(target=lambda: layer.weight.data.sub_(1))
    thread.start()
    thread.join()


def by_out(layer):
    rt.mul(layer.weight.detach(), 2, out=layer.weight.data)


def by_foreach(layer):
    rt._foreach_add_([layer.weight.data], 1.0)


def by_function(layer):
    with rt.no_grad():
        nn.utils.vector_to_parameters(rt.randn(sum(p.numel() for p in layer.parameters())), layer.parameters())


WRITES = {
    "SGD": optimizer_step("SGD"), "momentum": optimizer_step("SGD", momentum=0.9), "Adam": optimizer_step("Adam"), "AdamW": optimizer_step("AdamW"),
    "foreach": optimizer_step("Adam", foreach=True), "one by one": optimizer_step("Adam", foreach=False), "RMSprop": optimizer_step("RMSprop"),
    "Adagrad": optimizer_step("Adagrad"), "data.add_": lambda layer: layer.weight.data.add_(1), "data[...] =": lambda layer: layer.weight.data.__setitem__(0, 5.0),
    "detach().zero_": lambda layer: layer.weight.detach().zero_(), "no_grad mul_": lambda layer: rt.no_grad()(layer.weight.mul_)(2),
    "inference_mode": lambda layer: rt.inference_mode()(layer.weight.mul_)(2),
    "copy_": lambda layer: layer.weight.data.copy_(rt.randn(layer.weight.shape)), "set_data": lambda layer: setattr(layer.weight, "data", rt.randn(layer.weight.shape)),
    "new parameter": lambda layer: setattr(layer, "weight", nn.Parameter(rt.randn(layer.weight.shape))),
    "load_state_dict": lambda layer: layer.load_state_dict(state_of(layer)), "assign": lambda layer: layer.load_state_dict(state_of(layer), assign=True),
    "init": lambda layer: nn.init.xavier_uniform_(layer.weight), "reset_parameters": lambda layer: layer.reset_parameters(), "apply": lambda layer: layer.half().float(),
    "numpy": by_numpy, "numpy from before": by_old_numpy, "pointer": by_pointer, "storage pointer": by_storage_pointer, "dlpack": by_dlpack, "view": by_view,
    "view from before": by_old_view, "memoryview": by_memoryview, "another thread": by_thread, "out=": by_out, "_foreach": by_foreach, "vector": by_function,
    "flat": lambda layer: layer.weight.data.view(-1)[::3].neg_(), "transposed": lambda layer: layer.weight.data.T[1].exp_(),
    "index_put": lambda layer: layer.weight.data.__setitem__((rt.tensor([1, 2]), rt.tensor([3, 4])), rt.tensor([7.0, 8.0])),
    "masked": lambda layer: layer.weight.data.__setitem__(layer.weight.data > 0, 0.5), "normal_": lambda layer: layer.weight.data.normal_(),
    "storage fill": lambda layer: layer.weight.untyped_storage().fill_(0), "storage item": lambda layer: layer.weight.untyped_storage().__setitem__(2, 65),
    "typed storage": lambda layer: layer.weight.data.storage().__setitem__(1, 3.5), "swap": lambda layer: rt.utils.swap_tensors(layer.weight, nn.Parameter(rt.randn(layer.weight.shape))),
    "share_memory": lambda layer: (layer.share_memory(), layer.weight.data.add_(1)), "prune": lambda layer: layer.weight.data.mul_((layer.weight.data > 0).float()),
    "set_": lambda layer: layer.weight.data.set_(rt.randn(layer.weight.shape)),
}


@pytest.mark.parametrize("name", WRITES)
def test_no_write_is_missed(name):
    rt.manual_seed(1)
    layer, x = nn.Linear(96, 48), rt.randn(40, 96)
    if "view" in name:
        layer.view = layer.weight.data[4:6]
    if "from before" in name and "numpy" in name:
        layer.array = layer.weight.detach().numpy()
    warm(layer, x)
    assert _gemm.is_prepacked(layer.weight) == (name != "numpy from before") or rt.config.simd_level() != "avx512"
    before = layer.weight.detach().clone()
    for _ in range(3):
        WRITES[name](layer)
        assert rt.equal(warm(layer, x, 1), unpacked(layer, x))
        assert rt.equal(warm(layer, x), unpacked(layer, x))
    assert not rt.equal(layer.weight.detach(), before) or name in ("apply", "set_")


def test_memory_that_others_hold_is_never_kept():
    x = rt.randn(40, 96)
    source = np.random.default_rng(0).standard_normal((48, 96), dtype="float32")
    layer = nn.Linear(96, 48)
    layer.weight.data = rt.from_numpy(source)
    for _ in range(3):
        source += 1
        assert rt.equal(warm(layer, x), unpacked(layer, x))
    assert not _gemm.is_prepacked(layer.weight)
    layer = nn.Linear(96, 48)
    held = memoryview(layer.weight.detach())
    for i in range(3):
        held[i, 0] = 3.0
        assert rt.equal(warm(layer, x), unpacked(layer, x))
    assert not _gemm.is_prepacked(layer.weight)
    held.release()
    warm(layer, x)
    assert _gemm.is_prepacked(layer.weight) or rt.config.simd_level() != "avx512"
    layer.share_memory()
    warm(layer, x)
    assert not _gemm.is_prepacked(layer.weight)


def test_a_buffer_keeps_memory_that_its_tensor_left():
    t = rt.arange(6.0)
    view = memoryview(t)
    t.data = rt.zeros(6)
    gc.collect()
    rt.full((6,), 9.0)
    assert view.tolist() == [0, 1, 2, 3, 4, 5]
    view.release()


def test_copies_have_their_own():
    layer, x = nn.Linear(96, 48), rt.randn(40, 96)
    want = warm(layer, x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert not _gemm.is_prepacked(other.weight) and rt.equal(warm(other, x), want)
        other.weight.data.add_(1)
        assert rt.equal(warm(other, x), unpacked(other, x)) and rt.equal(warm(layer, x), want)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_fork_each_process_has_its_own():
    layer, x = nn.Linear(96, 48), rt.randn(40, 96)
    want = warm(layer, x)
    child = os.fork()
    if not child:
        good = rt.equal(warm(layer, x), want)
        layer.weight.data.add_(1)
        good &= rt.equal(warm(layer, x), unpacked(layer, x))
        os._exit(0 if good else 1)
    layer.weight.data.sub_(1)
    assert rt.equal(warm(layer, x), unpacked(layer, x))
    assert os.waitpid(child, 0)[1] == 0


def test_threads_that_write_while_others_read():
    layer, x, failed = nn.Linear(256, 256), rt.ones(64, 256), []
    layer.bias.data.zero_()

    def read():
        for _ in range(200):
            y = warm(layer, x, 1)
            if not bool(rt.isfinite(y).all()):
                failed.append(y)

    def write():
        for i in range(200):
            layer.weight.data.fill_(float(i % 5))
    workers = [threading.Thread(target=f) for f in (read, read, write)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not failed
    layer.weight.data.fill_(2.0)
    assert rt.equal(warm(layer, x), rt.full((64, 256), 512.0))


def test_training_keeps_nothing_and_large_weights_neither():
    layer, x = nn.Linear(96, 48), rt.randn(40, 96)
    for _ in range(4):
        layer(x).sum().backward()
    assert not _gemm.is_prepacked(layer.weight)
    for _ in range(4):                                       # read once between two writes: nothing to gain
        layer.weight.data.add_(1)
        warm(layer, x, 1)
    assert not _gemm.is_prepacked(layer.weight)
    rt.config.set_prepack_limit(96 * 48 * 4 - 1)
    warm(layer, x)
    assert not _gemm.is_prepacked(layer.weight)
    rt.config.set_prepack_limit(96 * 48 * 4)
    warm(layer, x)
    assert _gemm.is_prepacked(layer.weight) or rt.config.simd_level() != "avx512"
    with pytest.raises(ValueError):
        rt.config.set_prepack_limit(-1)
    for p in layer.parameters():
        p.requires_grad_(False)                              # frozen: kept while others train
    assert rt.equal(layer(x), unpacked(layer, x))


def candidates():
    square, index, mask = rt.rand(4, 4) + 0.5, rt.tensor([2, 0, 1, 3]), rt.tensor([[True, False] * 2] * 4)
    return [(), (0.5,), (1,), (2,), (square,), (square, square), (0.25, 0.75), (mask, 2.5), (mask, square), (0, index, square), (0, index, 2.5), (index, square),
            ((index, index), rt.rand(4)), (0, index[None].expand(4, 4).contiguous(), square), (square, 0.3), (0,), (0, 1), (0.0,), (rt.rand(4), rt.rand(4)), (3, 2.0), (square[None], square[None]),
            (0, index[None].expand(4, 4).contiguous(), square, "sum"), (2, 0, 1.5), ([2, 8],), ((4, 2),), (index, square[:, 0])]


def test_every_method_that_writes_is_counted():
    """Whatever changes the bytes of a tensor, by way of an alias whose writes are no versions, raises the count."""
    wrote = set()
    for name in sorted(n for n in dir(rt.Tensor) if n.endswith("_") and not n.endswith("__") and n not in ("requires_grad_", "share_memory_", "set_", "data_ptr_")):
        for args in candidates():
            for start in (rt.rand(4, 4) * 0.5 + 0.25, rt.randint(1, 100, (4, 4)), rt.rand(4, 4) > 0.5):
                owner = start.clone()
                before, bytes_before = _gemm.write_count(owner), owner.clone().numpy().tobytes()
                try:
                    getattr(owner.data, name)(*args)
                except Exception:
                    continue
                if owner.clone().numpy().tobytes() != bytes_before:
                    wrote.add(name)
                    assert _gemm.write_count(owner) != before, (name, args)
    assert len(wrote) > 120, sorted(wrote)


def test_every_function_that_writes_is_counted():
    warnings.simplefilter("ignore")
    wrote = set()
    spaces = {"": rt, "special.": rt.special, "linalg.": rt.linalg, "F.": F, "init.": nn.init, "foreach.": rt, "fft.": rt.fft}
    for prefix, space in spaces.items():
        for name in sorted(n for n in dir(space) if callable(getattr(space, n, None)) and not n[0].isupper()):
            if prefix == "foreach." and not name.startswith("_foreach") or prefix != "foreach." and name.startswith("_") or name.startswith(("set_", "use_", "manual_seed", "compile", "save", "load", "from_file")):
                continue
            for args in candidates():
                owner = rt.rand(4, 4) * 0.5 + 0.25
                before, bytes_before = _gemm.write_count(owner), owner.clone().numpy().tobytes()
                call = getattr(space, name)
                for way in ((lambda: call(owner.data, *args)), (lambda: call(*args, out=owner.data)), (lambda: call([owner.data], *args)),
                            (lambda: call([owner.data], *[[a] for a in args]))):
                    try:
                        way()
                    except Exception:
                        continue
                    if owner.clone().numpy().tobytes() != bytes_before:
                        wrote.add(prefix + name)
                        assert _gemm.write_count(owner) != before, (prefix + name, args)
    assert len(wrote) > 300, sorted(wrote)


def test_state_of_layers_is_counted():
    owner = rt.rand(4)
    count = _gemm.write_count(owner)
    F.batch_norm(rt.randn(8, 4), owner.data, rt.ones(4), training=True)
    assert _gemm.write_count(owner) > count
    table = rt.randn(5, 3) * 10
    count = _gemm.write_count(table)
    F.embedding(rt.tensor([1, 2]), table.data, max_norm=1.0)
    assert _gemm.write_count(table) > count
    leaf = rt.ones(4, requires_grad=True)
    leaf.sum().backward()
    count = _gemm.write_count(leaf.grad)
    held = leaf.grad
    leaf.sum().backward()
    assert held is not leaf.grad or _gemm.write_count(held) > count
