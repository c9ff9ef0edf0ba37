"""A program for a single process, which mpirun starts on several ranks: python trainee.py FOLDER [kill RANK EPOCH [BATCH SECONDS]].

With SECONDS the kill comes that long after the batch, wherever the rank is then, and the time of it is written to FOLDER/killed.
"""
import os
import signal
import sys
import threading
import time

import rustorch_py as torch
from rustorch_py import callbacks, nn, optim
from rustorch_py.data import DataLoader, TensorDataset
from rustorch_py.training import Trainer

folder, *rest = sys.argv[1:]
torch.manual_seed(5)
x = torch.randn(26, 4, dtype=torch.float64)
y = (x.sum(1) > 0).long()
train, held_out = TensorDataset(x[:19], y[:19]), TensorDataset(x[19:], y[19:])      # 19 = 3 batches of 6 and one of 1
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)).double()


class Killer(callbacks.Callback):
    """Die once, in the middle of an epoch."""

    def on_batch_end(self, trainer, logs):
        from rustorch_py import distributed
        rank, epoch, batch, seconds = map(float, (rest[1:] + ["1", "-1"])[:4])
        if (distributed.get_rank(), trainer.epoch, trainer.batch) != (rank, epoch, batch) or os.environ["TORCHELASTIC_RESTART_COUNT"] != "0":
            return
        if seconds < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Timer(seconds, kill).start()


def kill():
    with open(f"{folder}/killed", "w") as file:
        file.write(str(time.time()))
    os.kill(os.getpid(), signal.SIGKILL)


trainer = Trainer(model, optim.Adam(model.parameters(), 0.02), nn.CrossEntropyLoss(), accumulate=2 if "accumulate" in rest else 1, clip_norm=1.0,
                  checkpoint_dir=f"{folder}/checkpoints", log_dir=folder, callbacks=[Killer()] if "kill" in rest else [])
trainer.train(DataLoader(train, batch_size=6, shuffle=True), 4, DataLoader(held_out, batch_size=3))
print("done", trainer.completed_epochs)
