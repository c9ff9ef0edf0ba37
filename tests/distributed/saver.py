"""A program that saves a checkpoint, and the next until it is killed: python saver.py FOLDER RANK EVENT."""
import os
import signal
import sys

import rustorch_py as torch
import rustorch_py.distributed as dist
import rustorch_py.distributed.checkpoint as dcp
from rustorch_py.distributed.device_mesh import init_device_mesh
from rustorch_py.distributed.tensor import Shard, distribute_tensor

folder, rank, event = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
dist.init_process_group("mpi")
mesh = init_device_mesh("cpu", (dist.get_world_size(),))
seen = 0


def counted(call):
    """Return a system call that kills this process instead of happening the event-th time."""
    def instead(*args, **kwargs):
        global seen
        seen += 1
        if seen == event and dist.get_rank() == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return instead


def save(n):
    dcp.save({"w": distribute_tensor(torch.full((7, 3), float(n)), mesh, [Shard(0)]), "n": n}, checkpoint_id=folder)


save(1)
for name in ("fsync", "replace", "unlink", "open", "listdir"):
    setattr(os, name, counted(getattr(os, name)))
save(2)
print("saved", seen, flush=True)
