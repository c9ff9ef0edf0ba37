"""Objects between the ranks of a group by way of a store: what NCCL's groups use where no MPI is."""
from __future__ import annotations

import pickle
import time
import zlib
from datetime import timedelta

from ..errors import DistNetworkError


class StoreComm:
    """The methods of an MPI communicator that carry Python objects, over a `Store`.

    Args:
        store: a Store that all ranks reach. name: prefix of its keys, the same on all members and of no other communicator.
        ranks: the members' numbers in the world. rank: this one's number among them. timeout: seconds that a value may take to come.
    """

    def __init__(self, store, name, ranks, rank, timeout):
        self.store, self.name, self.ranks, self.timeout = store, name, list(ranks), timeout
        self.rank, self.size = rank, len(self.ranks)
        self._calls, self._made, self._messages = 0, {}, {}

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.size

    def Dup(self):
        return self.part(self.ranks)

    def Free(self):
        """Nothing is held: what was sent was removed by who read it last."""

    def part(self, ranks):
        """Return a communicator of some members (numbers in the world); each of them calls it, as often as the others."""
        key = zlib.crc32(repr(list(ranks)).encode())
        self._made[key] = count = self._made.get(key, 0) + 1
        world = self.ranks[self.rank]
        return StoreComm(self.store, f"{self.name}/{key:x}.{count}", ranks, list(ranks).index(world), self.timeout)

    def _put(self, key, obj):
        self.store.set(key, pickle.dumps(obj))

    def _get(self, key):
        self.store.wait([key], timedelta(seconds=self.timeout))
        return pickle.loads(self.store.get(key))

    def _read(self, keys):
        """Return the values of keys that every member reads; the last reader removes them."""
        values = [self._get(key) for key in keys]
        done = f"{keys[0]}/read"
        if self.store.add(done, 1) == self.size:
            for key in (*keys, done):
                self.store.delete_key(key)
        return values

    def _call(self):
        self._calls += 1
        return f"{self.name}/{self._calls}"

    def allgather(self, obj):
        key = self._call()
        self._put(f"{key}/{self.rank}", obj)
        return self._read([f"{key}/{i}" for i in range(self.size)])

    def gather(self, obj, root=0):
        key = self._call()
        self._put(f"{key}/{self.rank}", obj)
        if self.rank != root:
            return None
        values = [self._get(f"{key}/{i}") for i in range(self.size)]
        for i in range(self.size):
            self.store.delete_key(f"{key}/{i}")
        return values

    def bcast(self, obj, root=0):
        key = self._call()
        if self.rank == root:
            self._put(key, obj)
        return self._read([key])[0]

    def scatter(self, objects, root=0):
        key = self._call()
        if self.rank == root:
            for i, obj in enumerate(objects):
                self._put(f"{key}/{i}", obj)
        value = self._get(f"{key}/{self.rank}")
        self.store.delete_key(f"{key}/{self.rank}")
        return value

    def _message(self, source, dest, tag):
        count = self._messages[source, dest, tag] = self._messages.get((source, dest, tag), 0) + 1
        return f"{self.name}/{source}>{dest}/{tag}/{count}"

    def send(self, obj, dest, tag=0):
        self._put(self._message(self.rank, dest, tag), obj)

    def recv(self, source, tag=0):
        key = self._message(source, self.rank, tag)
        value = self._get(key)
        self.store.delete_key(key)
        return value


class World:
    """A world of processes without MPI: how its ends are told. One rank that fails leaves word in the store, which the others look at.

    Args:
        store: a Store. rank: this process's number.
    """
    KEY = "rustorch/failed"

    def __init__(self, store, rank):
        self.store, self.rank = store, rank

    def tell(self, message):
        """Leave word that this rank failed, and time to read it: rank 0's process may hold the store, and the others look once a second."""
        try:
            self.store.compare_set(self.KEY, "", f"rank {self.rank}: {message}")
        except DistNetworkError:                  # rank 0 is gone
            return
        if self.rank == 0:
            time.sleep(1.5)

    def look(self):
        """Return why the job must end, or None."""
        try:
            said = self.store.get(self.KEY).decode(errors="replace") if self.store.check([self.KEY]) else None
        except DistNetworkError as error:         # the store's rank is gone, and with it the job
            return f"lost the store of the job ({error})"
        return said and f"ended because of {said}"
