"""share_memory_: writes of another process are seen here, however it was started."""
import os

import pytest

import rustorch_py as torch
import rustorch_py.multiprocessing as mp

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_child_writes_are_seen():
    x = torch.arange(6.0).reshape(2, 3).clone().requires_grad_()
    assert not x.is_shared()
    assert x.share_memory_() is x and x.is_shared() and x.share_memory_() is x
    view = x.detach()[1]
    pid = os.fork()
    if pid == 0:
        with torch.no_grad():
            x.mul_(10)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert x.tolist() == [[0, 10, 20], [30, 40, 50]] and view.tolist() == [30, 40, 50]
    assert not x.clone().is_shared() and view.is_shared()
    assert torch.zeros(0).share_memory_().shape == (0,)


def test_views_taken_before_move_along():
    x = torch.arange(8.0)
    views, array = [x[1:], x.view(2, 4).t(), x.detach()], x.numpy()
    weight = torch.ones(3, requires_grad=True)
    y = (weight * x[:3]).sum()                       # saves a view
    views[0].share_memory_()
    assert x.is_shared() and all(v.is_shared() for v in views)
    pid = os.fork()
    if pid == 0:
        views[1].mul_(10)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert x.tolist() == [10.0 * i for i in range(8)] and views[0].tolist() == x.tolist()[1:] and views[2].tolist() == x.tolist()
    assert array.tolist() == list(range(8))
    y.backward()
    assert weight.grad.tolist() == [0, 10, 20]


def test_other_holders_are_refused():
    x = torch.zeros(4)
    held = x.untyped_storage()
    with pytest.raises(RuntimeError, match="holds the same memory"):
        x.share_memory_()
    del held
    x.share_memory_()


def test_modules_and_optimizers():
    model = torch.nn.Linear(2, 3).share_memory()
    assert model.weight.is_shared() and model.bias.is_shared()
    optimizer = torch.optim.Adagrad(model.parameters())
    optimizer.share_memory()
    assert all(kept["sum"].is_shared() for kept in optimizer.state.values())


def work(model, counter, queue):
    with torch.no_grad():
        model.weight.mul_(2)
        counter[1:] += 1
    queue.put((counter, torch.ones(2)))
    queue.get(timeout=60)                       # the sender of a descriptor lives until it was taken


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory is found by its descriptor")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_tensors_sent_to_a_process_keep_their_memory(method):
    context = mp.get_context(method)
    queue, back = context.Queue(), context.Queue()
    model, counter = torch.nn.Linear(2, 2).share_memory(), torch.zeros(3).share_memory_()
    before = model.weight.detach().clone()
    process = context.Process(target=work, args=(model, counter, Ends(queue, back)))
    process.start()
    got, own = queue.get(timeout=60)
    assert got.is_shared() and not own.is_shared() and own.tolist() == [1, 1]
    got[0] = 5
    back.put(0)
    process.join(60)
    assert process.exitcode == 0 and counter.tolist() == [5, 1, 1] and torch.equal(model.weight, before * 2)


class Ends:
    """A queue to write to and one to read from."""

    def __init__(self, out, back):
        self.out, self.back = out, back

    def put(self, x):
        self.out.put(x)

    def get(self, timeout):
        return self.back.get(timeout=timeout)


def test_descriptors_are_given_back():
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        pytest.skip("descriptors cannot be counted")
    before = len(os.listdir(folder))
    tensors = [torch.zeros(8).share_memory_() for _ in range(20)]
    view = tensors[0][1:]
    del tensors
    assert view.is_shared() and len(os.listdir(folder)) <= before + 1
    del view
    assert len(os.listdir(folder)) <= before
