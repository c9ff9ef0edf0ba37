"""Checks of messages that MPI's 32-bit counts do not hold: beyond 2 GiB a rank, so only among the longer tests."""
import rustorch_py as torch
import rustorch_py.distributed as dist

R, N = dist.get_rank(), dist.get_world_size()
COUNT = 2**31 + 12345


def all_reduce_beyond_32_bits():
    x = torch.ones(COUNT, dtype=torch.int8)
    x[-7:] = R + 2
    x[2**31 - 1] = 10 * R
    dist.all_reduce(x)
    assert x[:3].tolist() == [N] * 3 and x[2**31 - 2:2**31 + 1].tolist() == [N, 10 * (N * (N - 1) // 2), N]
    assert x[-8:].tolist() == [N] + [2 * N + N * (N - 1) // 2] * 7
    assert int((x != N).sum()) == 8


def message_beyond_32_bits():
    x = torch.zeros(COUNT, dtype=torch.int8)
    if R == 0:
        x[::2**20] = 3
        x[-1] = 5
        dist.send(x, 1)
    elif R == 1:
        assert dist.recv(x, 0) == 0
        assert int((x == 3).sum()) == -(-COUNT // 2**20) and x[-1].item() == 5 and x[2**31].item() == 3


CHECKS = [all_reduce_beyond_32_bits, message_beyond_32_bits]
