"""DistributedSampler deals out indices exactly as PyTorch's."""
import pytest
import rustorch_py.data as data

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("n", [1, 2, 5, 16, 101])
@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_same_indices(n, replicas, shuffle, drop_last):
    for rank in range(replicas):
        arguments = dict(num_replicas=replicas, rank=rank, shuffle=shuffle, seed=3, drop_last=drop_last)
        ours, theirs = data.DistributedSampler(range(n), **arguments), torch.utils.data.DistributedSampler(range(n), **arguments)
        for epoch in (0, 4):
            ours.set_epoch(epoch)
            theirs.set_epoch(epoch)
            if len(theirs) <= 0:
                assert len(ours) == len(theirs)
                continue
            assert list(ours) == list(theirs) and len(ours) == len(theirs)


def test_bad_rank():
    for rank in (-1, 2):
        with pytest.raises(ValueError, match="Invalid rank"):
            data.DistributedSampler(range(4), 2, rank)
