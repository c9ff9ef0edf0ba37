"""DataLoader with worker processes: order, errors, seeds, and nothing left behind."""
import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

import rustorch_py as torch
from rustorch_py import data
from rustorch_py.data import _worker, _workers

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes need fork and Unix sockets")


@pytest.fixture(autouse=True)
def no_worker_warning(monkeypatch):
    monkeypatch.setattr(data.DataLoader, "check_worker_number_rationality", lambda self: None)


def children():
    """Process ids of this process's children that are not yet reaped."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    fields = f.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                found.append(int(entry))
    return found


def all_gone(within=5.0):
    """Whether no child is left, after the moment that the kernel takes to end one; nobody waits for workers that leave."""
    end = time.monotonic() + within
    while children() and time.monotonic() < end:
        time.sleep(0.01)
    _workers._reap()
    return children() == []


def descriptors():
    return len(os.listdir("/proc/self/fd"))


class Numbers(data.Dataset):
    def __init__(self, n, size=1):
        self.n, self.size = n, size

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return torch.full((self.size,), float(i)), {"i": i, "text": f"<{i}>", "worker": data.get_worker_info().id}


@pytest.mark.parametrize("size", [1, 100, 100_000])      # inline, read, mapped
def test_batches_come_in_order(size):
    loader = data.DataLoader(Numbers(23, size), batch_size=4, num_workers=3)
    got = list(loader)
    assert [b[1]["i"].tolist() for b in got] == [list(range(k, min(k + 4, 23))) for k in range(0, 23, 4)]
    assert [b[1]["worker"][0].item() for b in got] == [0, 1, 2, 0, 1, 2]
    for x, y in got:
        assert x.shape[1:] == (size,) and x[:, -1].tolist() == y["i"].tolist()
        assert y["text"] == [f"<{i}>" for i in y["i"].tolist()]
        x += 1      # the memory is ours to write
    assert all_gone()


def test_same_order_as_without_workers():
    source = data.TensorDataset(torch.arange(100))
    orders = []
    for workers in (0, 2):
        torch.manual_seed(7)
        loader = data.DataLoader(source, batch_size=8, shuffle=True, num_workers=workers)
        orders.append([b[0].tolist() for b in loader])
    assert orders[0] == orders[1]


def test_shared_tensors_and_gradients_survive():
    class Pairs(Numbers):
        def __getitem__(self, i):
            x = torch.ones(5000)
            return x, x, torch.zeros(3, requires_grad=True), torch.zeros(0), torch.float16

    loader = data.DataLoader(Pairs(2), batch_size=None, num_workers=1)
    a, b, c, d, e = next(iter(loader))
    assert a is b and c.requires_grad and d.shape == (0,) and e is torch.float16


class Broken(Numbers):
    def __getitem__(self, i):
        if i == 5:
            raise KeyError("sample 5\nis broken")
        return i


def test_errors_come_with_their_traceback():
    seen = []
    with pytest.raises(KeyError) as caught:
        for batch in data.DataLoader(Broken(10), batch_size=2, num_workers=2):
            seen.append(batch.tolist())
    assert seen == [[0, 1], [2, 3]]
    text = str(caught.value)
    assert "Caught KeyError in DataLoader worker process 0." in text
    assert "in __getitem__" in text and "is broken" in text and "\n" in text
    del caught      # its traceback holds the iterator
    gc.collect()
    assert all_gone()


class Picky(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


def test_errors_of_any_class():
    class Local(Exception):
        pass

    class Raises(Numbers):
        def __init__(self, error):
            super().__init__(3)
            self.error = error

        def __getitem__(self, i):
            raise self.error

    for error in (Picky(1, 2), Local("x")):
        with pytest.raises(RuntimeError, match="Caught (Picky|Local) in DataLoader worker process 0"):
            next(iter(data.DataLoader(Raises(error), num_workers=1)))

    class Unpicklable(Numbers):
        def __getitem__(self, i):
            return lambda: i

    with pytest.raises(Exception, match="in DataLoader worker process 0"):
        next(iter(data.DataLoader(Unpicklable(3), batch_size=None, num_workers=1)))
    with pytest.raises(ValueError, match="bad start"):
        next(iter(data.DataLoader(Numbers(3), num_workers=1, worker_init_fn=fail_to_start)))


def fail_to_start(worker_id):
    raise ValueError("bad start")


class Deadly(Numbers):
    def __getitem__(self, i):
        if i == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return i


def test_a_killed_worker_is_reported():
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly .*SIGKILL"):
        list(data.DataLoader(Deadly(8), num_workers=2))
    gc.collect()
    assert all_gone()


def test_timeout():
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="timed out after 0.2 seconds"):
        next(iter(data.DataLoader(SlowOnce(3), num_workers=1, timeout=0.2)))
    assert time.monotonic() - started < 5


class SlowOnce(Numbers):
    def __getitem__(self, i):
        time.sleep(1.0)
        return i


class Seeds(data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, i):
        import numpy
        info = data.get_worker_info()
        return (info.id, info.num_workers, info.seed, torch.initial_seed(), random.random(),
                int(numpy.random.randint(1 << 30)), torch.rand(1).item(), len(info.dataset))


def test_each_worker_has_its_own_seed():
    pytest.importorskip("numpy")
    runs = []
    for _ in range(2):
        torch.manual_seed(11)
        runs.append(list(data.DataLoader(Seeds(), batch_size=None, num_workers=2)))
    assert runs[0] == runs[1]
    first, second = runs[0][:2]
    assert (first[0], second[0]) == (0, 1) and first[1] == 2 and first[7] == 4
    assert second[2] == first[2] + 1 and first[3] == first[2]
    assert len({row[4] for row in runs[0]}) == 4 and len({row[5] for row in runs[0]}) == 4
    assert data.get_worker_info() is None


class Stream(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = data.get_worker_info()
        return iter(range(info.id, self.n, info.num_workers))


@pytest.mark.parametrize("persistent", [False, True])
def test_streams(persistent):
    loader = data.DataLoader(Stream(11), batch_size=2, num_workers=3, persistent_workers=persistent)
    for _ in range(2):
        batches = [b.tolist() for b in loader]
        assert sorted(sum(batches, [])) == list(range(11))
        assert batches[:3] == [[0, 3], [1, 4], [2, 5]]
    del loader
    gc.collect()
    assert all_gone()


class Pid(Numbers):
    def __getitem__(self, i):
        return os.getpid(), i


def test_persistent_workers_stay():
    loader = data.DataLoader(Pid(8), batch_size=None, num_workers=2, persistent_workers=True)
    first = list(loader)
    for _ in zip(range(3), loader):      # leave a run in the middle
        pass
    third = list(loader)
    assert {p for p, _ in first} == {p for p, _ in third} and [i for _, i in third] == list(range(8))
    assert len(children()) == 2
    other = data.DataLoader(Pid(2), batch_size=None, num_workers=1)
    assert len(list(other)) == 2      # its worker inherited copies of the first loader's sockets
    started = time.monotonic()
    del loader
    gc.collect()
    assert all_gone() and time.monotonic() - started < 4


def test_out_of_order():
    loader = data.DataLoader(Uneven(6), batch_size=None, num_workers=2, in_order=False)
    got = list(loader)
    assert sorted(got) == list(range(6)) and got[0] != 0


class Uneven(Numbers):
    def __getitem__(self, i):
        if i == 0:
            time.sleep(0.5)
        return i


def test_large_tasks_and_answers_do_not_lock_up():
    class Text(Numbers):
        def __getitem__(self, i):
            return "x" * 2000

    loader = data.DataLoader(Text(2000), num_workers=1, prefetch_factor=8,
                             batch_sampler=[list(range(1000)) * 40 for _ in range(10)], collate_fn=lambda b: b[:500])
    assert [len(b) for b in loader] == [500] * 10


def resident_kib():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def shared_files():
    """The package's files in the folder of shared memory."""
    return {n for n in os.listdir("/dev/shm") if "rustorch" in n} if os.path.isdir("/dev/shm") else set()


def test_abandoned_iterators_leave_nothing():
    """With the garbage collector off. RUSTORCH_LONG_TESTS=1 abandons 1,000."""
    count = 1000 if os.environ.get("RUSTORCH_LONG_TESTS") else 25
    gc.collect()
    gc.disable()
    try:
        for i in range(count):
            it = iter(data.DataLoader(Numbers(50, 3000), batch_size=4, num_workers=2))
            for _ in zip(range(i % 4), it):      # none, one, two or three of 13 batches
                pass
            del it
            if i == 9:
                before, resident, shared = descriptors(), resident_kib(), shared_files()
        assert all_gone() and descriptors() <= before and shared_files() == shared
        assert resident_kib() - resident < 2048
    finally:
        gc.enable()


class Stuck(Numbers):
    def __getitem__(self, i):
        time.sleep(60)


def test_stuck_workers_end_themselves(monkeypatch):
    """Those that are at work when their loader goes have LEAVE_S seconds."""
    monkeypatch.setattr(_worker, "LEAVE_S", 0.1)
    it = iter(data.DataLoader(Stuck(4), num_workers=2))
    began = time.monotonic()
    del it
    assert time.monotonic() - began < 1                  # nobody waits for them
    assert children() and all_gone()


def test_stuck_workers_are_ended(monkeypatch):
    """Also those whose own watch does nothing, when workers are next let go."""
    monkeypatch.setattr(_worker, "LEAVE_S", 60)
    monkeypatch.setattr(_workers, "LEAVE_S", 0.1)
    it = iter(data.DataLoader(Stuck(4), num_workers=2))
    del it
    time.sleep(0.3)
    assert len(children()) == 2
    _workers._reap()
    assert all_gone()
    it = iter(data.DataLoader(Stuck(4), num_workers=2))
    del it
    began = time.monotonic()
    _workers._reap(0)                                    # as at exit
    assert children() == [] and time.monotonic() - began < 2


def test_workers_finish_what_they_do_when_the_program_ends(tmp_path):
    """They have LEAVE_S seconds then, too."""
    script = textwrap.dedent(f"""
        import os, time
        from rustorch_py import data
        class D(data.Dataset):
            def __len__(self): return 2
            def __getitem__(self, i):
                open({str(tmp_path)!r} + "/begun", "w").close()
                time.sleep(0.5)
                open({str(tmp_path)!r} + "/done", "w").close()
                return i
        it = iter(data.DataLoader(D(), num_workers=1))
        while not os.path.exists({str(tmp_path)!r} + "/begun"):
            time.sleep(0.01)
        {{gone}}
    """)
    for gone in ("del it", "pass"):
        subprocess.run([sys.executable, "-W", "ignore", "-c", script.replace("{gone}", gone)], check=True, timeout=30)
        assert sorted(os.listdir(tmp_path)) == ["begun", "done"]
        for name in os.listdir(tmp_path):
            os.unlink(tmp_path / name)


def test_contexts():
    for method in ("spawn", "forkserver"):
        loader = data.DataLoader(data.TensorDataset(torch.arange(6)), batch_size=3, num_workers=1,
                                 multiprocessing_context=method)
        assert [b[0].tolist() for b in loader] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="valid start method"):
        data.DataLoader(Numbers(3), num_workers=1, multiprocessing_context="no")


SCRIPT = textwrap.dedent("""
    import os, signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)         # a suite in the background of a shell starts with it ignored
    import rustorch_py as torch
    from rustorch_py import data

    class D(data.Dataset):
        def __len__(self): return 1000
        def __getitem__(self, i):
            if {slow} and i > 4: time.sleep(3)
            return torch.zeros(50000), data.get_worker_info() and os.getpid()

    it = iter(data.DataLoader(D(), batch_size=None, num_workers=2))
    pids = {{next(it)[1] for _ in range(4)}}
    print(*pids, flush=True)
    time.sleep(60)
""")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("slow", [False, True])
def test_workers_die_with_their_loader(how, slow):
    shared = shared_files()
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", SCRIPT.format(slow=slow)], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    workers = [int(p) for p in process.stdout.readline().split()]
    assert len(workers) == 2 and all(alive(p) for p in workers)
    process.send_signal(how)
    process.wait(10)
    process.stdout.close()
    deadline = time.monotonic() + 8
    while any(alive(p) for p in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(p) for p in workers)
    assert shared_files() == shared


ENDLESS = textwrap.dedent("""
    import os
    import rustorch_py as torch
    from rustorch_py import data

    class D(data.Dataset):
        def __len__(self): return 1000
        def __getitem__(self, i): return torch.zeros(20000), os.getpid()

    while True:
        seen = set()
        for _, pid in data.DataLoader(D(), batch_size=10, num_workers=2):
            if len(seen) < 2:
                seen |= set(pid.tolist())
                if len(seen) == 2:
                    print(*seen, flush=True)
""")


def test_ctrl_c_in_a_terminal():
    """There the signal goes to the workers, too: one traceback, the loader's, and no process left."""
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    workers = [int(p) for p in process.stdout.readline().split()]
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    err = process.communicate(timeout=10)[1]
    assert process.returncode == -signal.SIGINT
    assert err.count("Traceback") == 1 and err.rstrip().endswith("KeyboardInterrupt")
    deadline = time.monotonic() + 5
    while any(alive(p) for p in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(p) for p in workers)
