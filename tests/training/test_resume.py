"""A resumed run gives the very same numbers as one that was never interrupted."""
import os
import random
import signal
import subprocess
import sys

import pytest

import rustorch_py as torch
from rustorch_py import callbacks, nn, optim
from rustorch_py.data import DataLoader, Dataset, TensorDataset
from rustorch_py.errors import DataError
from rustorch_py.training import Trainer


class Noisy(Dataset):
    """Draws from all three global generators for every sample, as augmentations do."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        import numpy
        noise = 0.1 * torch.randn(self.x.shape[1]) + 0.1 * random.random() + 0.1 * float(numpy.random.rand())
        return self.x[index] + noise, self.y[index]


class Press(callbacks.Callback):
    """Presses Ctrl-C once, after one batch or in validation."""

    def __init__(self, epoch, batch):
        self.epoch, self.batch = epoch, batch

    def on_batch_end(self, trainer, logs):
        if (trainer.epoch, trainer.batch) == (self.epoch, self.batch):
            os.kill(os.getpid(), signal.SIGINT)


def make(folder, press=None, own_generator=False, noisy=True, accumulate=1, seed=5):
    import numpy
    torch.manual_seed(0)
    random.seed(seed)
    numpy.random.seed(seed)
    x = torch.randn(45, 5)
    y = (x.sum(1) > 0).to(torch.int64)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    optimizer = optim.Adam(model.parameters(), 0.01)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    generator = None
    if own_generator:
        generator = torch.Generator()
        generator.manual_seed(seed)
    data = Noisy(x, y) if noisy else TensorDataset(x, y)
    loader = DataLoader(data, batch_size=6, shuffle=True, generator=generator)
    held_out = DataLoader(TensorDataset(x, y), batch_size=20, shuffle=True)
    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler, checkpoint_dir=folder, log_dir=folder,
                      callbacks=[press] if press else [callbacks.Callback()], accumulate=accumulate,
                      early_stopping=callbacks.EarlyStopping(50))
    return trainer, loader, held_out


def numbers(trainer):
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.history.rows]
    return rows, {k: v.tolist() for k, v in trainer.model.state_dict().items()}, trainer.global_step


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("place", [(1, 0), (3, 4), (3, 7), (4, 7)])
def test_interrupted_and_resumed(tmp_path, place, own_generator):
    straight, loader, held_out = make(tmp_path / "a", own_generator=own_generator)
    straight.train(loader, 4, held_out)

    stopped, loader, held_out = make(tmp_path / "b", Press(*place), own_generator)
    with pytest.raises(KeyboardInterrupt, match="last.safetensors"):
        stopped.train(loader, 4, held_out)
    assert stopped.interrupt_checkpoint == str(tmp_path / "b" / "last.safetensors")

    resumed, loader, held_out = make(tmp_path / "b", own_generator=own_generator, seed=99)  # other weights, other state
    resumed.train(loader, 4, held_out, resume=True)
    assert numbers(resumed) == numbers(straight)
    assert (tmp_path / "b" / "history.csv").read_text().splitlines()[0] == \
        (tmp_path / "a" / "history.csv").read_text().splitlines()[0]
    assert len((tmp_path / "b" / "history.csv").read_text().splitlines()) == 5


def test_interrupted_with_accumulation_waits_for_the_step(tmp_path):
    straight, loader, held_out = make(tmp_path / "a", accumulate=3)
    straight.train(loader, 3, held_out)
    stopped, loader, held_out = make(tmp_path / "b", Press(2, 3), accumulate=3)
    with pytest.raises(KeyboardInterrupt):
        stopped.train(loader, 3, held_out)
    assert stopped.batch == 5
    resumed, loader, held_out = make(tmp_path / "b", accumulate=3, seed=98)
    resumed.train(loader, 3, held_out, resume=True)
    assert numbers(resumed) == numbers(straight)


def test_interrupted_in_validation(tmp_path):
    straight, loader, held_out = make(tmp_path / "a")
    straight.train(loader, 3, held_out)

    stopped, loader, held_out = make(tmp_path / "b")

    class Pressing:
        def __len__(self):
            return len(held_out)

        def __iter__(self):
            for i, batch in enumerate(held_out):
                if stopped.epoch == 2 and i == 1:
                    os.kill(os.getpid(), signal.SIGINT)
                yield batch

    with pytest.raises(KeyboardInterrupt):
        stopped.train(loader, 3, Pressing())
    resumed, loader, held_out = make(tmp_path / "b", seed=97)
    resumed.train(loader, 3, held_out, resume=True)
    assert numbers(resumed) == numbers(straight)


def test_resumed_from_an_epochs_end_and_from_the_best(tmp_path):
    straight, loader, held_out = make(tmp_path / "a")
    straight.train(loader, 5, held_out)
    first, loader, held_out = make(tmp_path / "b")
    first.train(loader, 3, held_out)
    resumed, loader, held_out = make(tmp_path / "b", seed=96)
    resumed.train(loader, 5, held_out, resume=tmp_path / "b" / "last.safetensors")
    assert numbers(resumed) == numbers(straight)
    best, loader, held_out = make(tmp_path / "b", seed=95)
    best.load_checkpoint(tmp_path / "b" / "best.safetensors")
    assert best.history.best("val_loss")["epoch"] == best.completed_epochs
    best.train(loader, 5, held_out)
    assert numbers(best) == numbers(straight)


def test_finished_run_resumed_does_nothing_more(tmp_path):
    first, loader, held_out = make(tmp_path)
    first.train(loader, 2, held_out)
    again, loader, held_out = make(tmp_path, seed=94)
    again.train(loader, 2, held_out, resume=True)
    assert numbers(again) == numbers(first)


def test_second_ctrl_c_stops_at_once(tmp_path):
    code = """
import os, signal, rustorch_py as t
from rustorch_py import nn, optim, training, callbacks
class Twice(callbacks.Callback):
    def on_batch_begin(self, trainer):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
m = nn.Linear(2, 2)
training.Trainer(m, optim.SGD(m.parameters(), 0.1), nn.CrossEntropyLoss(), callbacks=[Twice()]).train(
    [(t.zeros(3, 2), t.zeros(3, dtype=t.int64))], epochs=2)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "KeyboardInterrupt" in done.stderr and "after batch" not in done.stderr


def test_without_a_folder_ctrl_c_still_ends_between_steps():
    model = nn.Linear(2, 2)
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), callbacks=[Press(1, 1)])
    batch = (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(KeyboardInterrupt, match="epoch 1 after batch 2"):
        trainer.train([batch] * 4, epochs=2)
    assert trainer.interrupt_checkpoint is None and trainer.global_step == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_damaged_and_foreign_checkpoints(tmp_path):
    trainer, loader, held_out = make(tmp_path)
    trainer.train(loader, 1, held_out)
    good = (tmp_path / "last.safetensors").read_bytes()
    for name, content in (("cut", good[:len(good) // 2]), ("empty", b""), ("noise", os.urandom(500)),
                          ("flipped", good[:-40] + bytes([good[-40] ^ 1]) + good[-39:])):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(DataError, match=name) as caught:
            trainer.load_checkpoint(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="does not exist"):
        trainer.load_checkpoint(tmp_path / "nowhere.safetensors")
    from rustorch_py.utils import save
    save(trainer.model.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match="not a training checkpoint"):
        trainer.load_checkpoint(tmp_path / "weights.safetensors")


def test_resume_with_less_data_says_so(tmp_path):
    stopped, loader, held_out = make(tmp_path, Press(1, 5), noisy=False)
    with pytest.raises(KeyboardInterrupt):
        stopped.train(loader, 2, held_out)
    resumed, _, held_out = make(tmp_path, noisy=False)
    with pytest.raises(DataError, match="same data"):
        resumed.train([(torch.zeros(3, 5), torch.zeros(3, dtype=torch.int64))], 2, held_out, resume=True)


def test_a_failing_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    trainer, loader, held_out = make(tmp_path)
    trainer.train(loader, 1, held_out)
    before = (tmp_path / "last.safetensors").read_bytes()

    def broken(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError):
        trainer.save_checkpoint(tmp_path / "last.safetensors")
    monkeypatch.undo()
    assert (tmp_path / "last.safetensors").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.safetensors", "history.csv", "history.json",
                                                          "last.safetensors"]
