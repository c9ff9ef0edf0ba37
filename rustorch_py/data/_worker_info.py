"""What a worker process knows of itself; apart from the rest, so that importing it costs nothing."""

current = None      # set once in each worker


class WorkerInfo:
    """What a worker may know of itself.

    Attributes:
        id: its number, from 0.
        num_workers: how many there are.
        seed: the seed its generators were set to.
        dataset: its own copy of the dataset.
    """

    __slots__ = ("id", "num_workers", "seed", "dataset")

    def __init__(self, id, num_workers, seed, dataset):
        for name, value in (("id", id), ("num_workers", num_workers), ("seed", seed), ("dataset", dataset)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError(f"cannot assign to field {name!r}")

    def __repr__(self):
        return "WorkerInfo(" + ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__) + ")"


def get_worker_info():
    """Return the :class:`WorkerInfo` of this worker process, or None in any other process."""
    return current
