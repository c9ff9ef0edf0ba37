"""Threads: one number for the process, the same bits with any number, safe after fork and from several Python threads."""
import ctypes
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import rustorch_py as rt
from rustorch_py import config, nn

F = nn.functional


@pytest.fixture(autouse=True)
def same_number_after():
    before = rt.get_num_threads()
    yield
    rt.set_num_threads(before)
    config.use_deterministic(False)


def test_pool_size_is_the_process():
    """OpenMP keeps its number a thread; ours holds in every Python thread, as PyTorch's does."""
    seen = []
    for n in (3, 1):
        config.set_thread_pool_size(n)
        thread = threading.Thread(target=lambda: seen.append(config.get_thread_pool_size()))
        thread.start()
        thread.join()
    assert seen == [3, 1]


@pytest.mark.parametrize("n", [0, -1])
def test_pool_size_must_be_positive(n):
    with pytest.raises(RuntimeError, match="expected a positive integer"):
        config.set_thread_pool_size(n)


# name: function of a generator-seeded namespace that gives tensors
def with_gradients(function, *tensors):
    leaves = [t.requires_grad_() for t in tensors]
    result = function(*leaves)
    result = result[0] if isinstance(result, tuple) else result
    return (result, *rt.autograd.grad((result * rt.randn(result.shape)).sum(), leaves))


OPTIMIZERS = [("SGD", {}), ("SGD", {"momentum": 0.9, "nesterov": True}), ("Adam", {"amsgrad": True}), ("AdamW", {}), ("RMSprop", {"centered": True}),
              ("Adagrad", {}), ("NAdam", {})]


def stepped(kind, options):
    """Three parameters after three clipped steps, and the norm of their last gradients."""
    parameters = [rt.randn(*shape).requires_grad_() for shape in ((700, 999), (13,), (400, 1001))]
    optimizer, norm = kind(parameters, lr=0.01, **options), None
    for _ in range(3):
        for p in parameters:
            p.grad = rt.randn(p.shape)
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return [*parameters, norm]


WORK = {
    "mm 300x500x200": lambda: with_gradients(rt.mm, rt.randn(300, 500), rt.randn(500, 200)),
    "mm 37x2000x600": lambda: with_gradients(rt.mm, rt.randn(37, 2000), rt.randn(2000, 600)),
    "mm float64": lambda: with_gradients(rt.mm, rt.randn(200, 300, dtype=rt.float64), rt.randn(300, 210, dtype=rt.float64)),
    "bmm": lambda: with_gradients(rt.bmm, rt.randn(5, 100, 120), rt.randn(5, 120, 90)),
    "linear": lambda: with_gradients(F.linear, rt.randn(150, 400), rt.randn(300, 400), rt.randn(300)),
    "matrix vector": lambda: rt.mv(rt.randn(2000, 1500), rt.randn(1500)),
    "bfloat16 mm": lambda: rt.mm(rt.randn(300, 300).bfloat16(), rt.randn(300, 300).bfloat16()),
    "conv2d": lambda: with_gradients(lambda x, w, b: F.conv2d(x, w, b, padding=1), rt.randn(7, 16, 30, 30), rt.randn(24, 16, 3, 3), rt.randn(24)),
    "conv2d one image": lambda: with_gradients(lambda x, w: F.conv2d(x, w), rt.randn(1, 32, 64, 64), rt.randn(32, 32, 3, 3)),
    "conv2d depthwise": lambda: with_gradients(lambda x, w: F.conv2d(x, w, padding=1, groups=32), rt.randn(6, 32, 40, 40), rt.randn(32, 1, 3, 3)),
    "conv2d small images": lambda: with_gradients(lambda x, w: F.conv2d(x, w, stride=2), rt.randn(33, 64, 9, 9), rt.randn(64, 64, 3, 3)),
    "conv_transpose2d": lambda: with_gradients(lambda x, w: F.conv_transpose2d(x, w, stride=2), rt.randn(5, 32, 20, 20), rt.randn(32, 16, 4, 4)),
    "batch_norm": lambda: with_gradients(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), rt.randn(16, 32, 30, 30), rt.randn(32), rt.randn(32)),
    "layer_norm": lambda: with_gradients(lambda x, w, b: F.layer_norm(x, (300,), w, b), rt.randn(2000, 300), rt.randn(300), rt.randn(300)),
    "group_norm": lambda: with_gradients(lambda x: F.group_norm(x, 4), rt.randn(8, 32, 40, 40)),
    "softmax": lambda: with_gradients(lambda x: F.softmax(x, 1), rt.randn(700, 900)),
    "cross_entropy": lambda: with_gradients(lambda x: F.cross_entropy(x, rt.arange(700) % 900), rt.randn(700, 900)),
    "max_pool2d": lambda: with_gradients(lambda x: F.max_pool2d(x, 3, 2), rt.randn(8, 32, 50, 50)),
    "avg_pool2d": lambda: with_gradients(lambda x: F.avg_pool2d(x, 3, 2), rt.randn(8, 32, 50, 50)),
    "attention": lambda: with_gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *(rt.randn(4, 4, 130, 32) for _ in range(3))),
    "attention of two heads": lambda: with_gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), *(rt.randn(1, 2, 400, 32) for _ in range(3))),
    "attention of short rows": lambda: with_gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), *(rt.randn(1, 5, 64, 48) for _ in range(3))),
    "encoder layer": lambda: with_gradients(nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True), rt.randn(6, 50, 64)),
    "lstm": lambda: with_gradients(lambda x: nn.LSTM(96, 160)(x), rt.randn(12, 40, 96)),
    "gru": lambda: with_gradients(lambda x: nn.GRU(96, 160)(x), rt.randn(12, 40, 96)),
    "sum": lambda: [rt.randn(1_000_003).sum(), rt.randn(1001, 1003).sum(0), rt.randn(1001, 1003).sum(1), rt.randn(40, 50, 60, 10).sum((0, 2))],
    "mean var norm": lambda: [rt.randn(1_000_003).var(), rt.randn(1001, 1003).var(0), rt.linalg.norm(rt.randn(700_001)), rt.randn(900, 999).std(1)],
    "logsumexp cumsum": lambda: [rt.randn(999, 1001).logsumexp(0), rt.randn(999, 1001).cumsum(0), rt.randn(999, 1001).cumsum(1)],
    "argmax sort": lambda: [rt.randn(300_007).argmax(), *rt.randn(301, 999).sort(1), *rt.randn(301, 999).max(0)],
    "elementwise": lambda: [rt.randn(300_007).exp(), rt.randn(300_007).tanh(), rt.randn(300_007)[::2] * 3, rt.randn(600, 500).t() + 1],
    "embedding": lambda: with_gradients(lambda w: F.embedding(rt.arange(40_000) % 311, w), rt.randn(311, 64)),
    "index_add scatter_add": lambda: [rt.zeros(50, 700).index_add(0, rt.arange(999) % 50, rt.randn(999, 700)),
                                      rt.zeros(900, 700).scatter_add(1, rt.arange(630_000).reshape(900, 700) % 13, rt.randn(900, 700))],
    "optimizers": lambda: [w for name, options in OPTIMIZERS for w in stepped(getattr(rt.optim, name), options)],
    "fft": lambda: rt.fft.fft(rt.randn(200, 1000)),
    "solve": lambda: rt.linalg.solve(rt.randn(6, 90, 90), rt.randn(6, 90, 40)),
}


def bits(value):
    values = value if isinstance(value, (list, tuple)) else [value]
    return [v.detach().float().numpy().tobytes() if v.dtype == rt.bfloat16 else v.detach().numpy().tobytes() for v in values]


@pytest.mark.parametrize("name", WORK)
def test_same_bits_with_any_number_of_threads(name):
    config.use_deterministic(True)
    results = []
    for n in (1, 2, 3, 5):
        config.set_thread_pool_size(n)
        rt.manual_seed(0)
        results.append(bits(WORK[name]()))
    assert results[0] == results[1] == results[2] == results[3]


def test_a_fixed_split_still_multiplies():
    """The pieces of a product are the product: sizes around the limits, beta and bias, both layouts."""
    config.use_deterministic(True)
    for m, n, k in ((130, 33, 800), (31, 700, 200), (1, 3000, 1500), (3000, 1, 1500), (257, 256, 255)):
        a, b, c = rt.randn(m, k), rt.randn(k, n), rt.randn(n)
        exact = a.numpy().astype("float64") @ b.numpy().astype("float64")
        np.testing.assert_allclose((a @ b).numpy(), exact, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose((b.t() @ a.t()).numpy(), exact.T, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(rt.addmm(c, a, b, beta=2).numpy(), exact + 2 * c.numpy(), rtol=1e-4, atol=1e-3)


def test_switches_agree():
    assert not config.is_deterministic()
    config.use_deterministic()
    assert config.is_deterministic() and rt.are_deterministic_algorithms_enabled()
    rt.use_deterministic_algorithms(False)
    assert not config.is_deterministic()


def model():
    rt.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 16 * 16, 128),
                         nn.GELU(), nn.LayerNorm(128), nn.Linear(128, 10), nn.Softmax(1)).eval()


def decoder():
    rt.manual_seed(0)
    return nn.Sequential(nn.Embedding(50, 32), nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), nn.Linear(32, 50)).eval()


@pytest.mark.parametrize("make, batch", [(model, lambda: rt.randn(8, 3, 32, 32)), (decoder, lambda: rt.randint(0, 50, (4, 70)))])
def test_python_threads_agree_with_serial_inference(make, batch):
    net = make()
    batches = [batch() for _ in range(16)]
    with rt.no_grad():
        serial = [net(x).numpy() for x in batches]
    found = [None] * len(batches)
    failures = []

    def work(which):
        try:
            with rt.no_grad():
                for _ in range(3):
                    for i in range(which, len(batches), 4):
                        found[i] = net(batches[i]).numpy()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for a, b in zip(serial, found):
        np.testing.assert_array_equal(a, b)


def test_python_threads_train_their_own_models():
    def losses():
        generator = rt.Generator().manual_seed(1)
        layer = nn.Linear(30, 30)
        with rt.no_grad():
            layer.weight.copy_(rt.randn(30, 30, generator=generator) * 0.1)
            layer.bias.zero_()
        x, optimizer, out = rt.randn(64, 30, generator=generator), rt.optim.Adam(layer.parameters(), lr=0.01), []
        for _ in range(30):
            optimizer.zero_grad()
            loss = (layer(x) - x).square().mean()
            loss.backward()
            optimizer.step()
            out.append(loss.item())
        return out
    expected, found = losses(), []
    threads = [threading.Thread(target=lambda: found.append(losses())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


CODE = """
import os, sys, threading
import rustorch_py as rt
rt.config.set_thread_pool_size(2)
a = rt.randn(600, 600)
def work():
    rt.linalg.svd(a @ a + (a * 2).exp().sum(0) * 0)
    rt.nn.functional.conv2d(rt.randn(8, 16, 32, 32), rt.randn(16, 16, 3, 3))
work()
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", CODE + code], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads through /proc, which this system has not")
def test_one_pool():
    """Products, decompositions and loops share one team: OpenBLAS starts no thread of its own."""
    before, after = map(int, run("""
n = len(os.listdir("/proc/self/task"))
for _ in range(3): work()
print(n, len(os.listdir("/proc/self/task")))
"""))
    assert before == after == 2
    library = ctypes.CDLL(str(next((Path(rt.__file__).parent / "_libs").glob("libscipy_openblas*"))))
    assert library.scipy_openblas_get_num_threads() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes_alone_and_ends():
    status, threads = run("""
pid = os.fork()
if pid == 0:
    same = rt.equal((a @ a), (a @ a)) and rt.get_num_threads() == 1
    work()
    found = []
    worker = threading.Thread(target=lambda: (work(), found.append(rt.get_num_threads())))
    worker.start(); worker.join()
    os._exit(0 if same and found == [1] else 3)
_, status = os.waitpid(pid, 0)
work()
print(status, rt.get_num_threads())
""")
    assert (status, threads) == ("0", "2")


ONE_CORE = """
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
rt.config.set_thread_pool_size(1)
x, y = rt.randn(1_000_000), rt.arange(1_000_000) % 1000
image, kernel, lstm = rt.randn(4, 16, 30, 30), rt.randn(16, 16, 3, 3), rt.nn.LSTM(64, 128)
def all():
    rt.manual_seed(1)
    with rt.no_grad():
        return [x.sum(), y.sum(), x.exp(), (a @ a), x.sort()[0], rt.nn.functional.conv2d(image, kernel), lstm(rt.ones(9, 30, 64))[0], rt.randn(400_000),
                x.view(1000, 1000).cumsum(0), rt.nn.functional.scaled_dot_product_attention(*[x.view(-1)[:131072].view(4, 4, 128, 64)] * 3, is_causal=True)]
rt.config.use_deterministic(True)
alone = all()
rt.config.set_thread_pool_size(5)
same = [rt.equal(p, q) for _ in range(5) for p, q in zip(alone, all())]
print(same.count(False))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a core")
@pytest.mark.parametrize("spins", ["0", "10000"])
def test_threads_that_come_late(spins, monkeypatch):
    """Five threads share one core: most wake when their work is done, or hold the core that others need."""
    monkeypatch.setenv("GOMP_SPINCOUNT", spins)
    assert run(ONE_CORE) == ["0"]


def test_regions_use_what_the_crew_defines():
    """Note [Regions] in kernels/region.c: other constructs would ask libgomp, which does not know the crew's threads."""
    known = r"parallel|for|simd|barrier|atomic"
    found = []
    for path in Path(rt.__file__).parent.rglob("*"):
        if path.suffix in (".c", ".h", ".pyx") and not (path.suffix == ".c" and path.with_suffix(".pyx").exists()):
            for line in re.findall(r"(?:RT_OMP\(|#pragma )omp ([^\n]*)", path.read_text(encoding="utf-8")):
                if not re.match(known, line) or re.search(r"schedule\((guided|runtime|auto)|\bordered|\bsections|\bworkshare", line):
                    found.append(f"{path.name}: {line}")
    assert not found


def test_waiting_policy_is_the_users_when_given():
    """The environment that decides how threads wait is set for the load of libgomp only."""
    assert run('print("OMP_WAIT_POLICY" in os.environ, "GOMP_SPINCOUNT" in os.environ)') == [str("OMP_WAIT_POLICY" in os.environ),
                                                                                          str("GOMP_SPINCOUNT" in os.environ)]
