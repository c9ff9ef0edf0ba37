"""Key-value stores by which processes find each other before they can talk: in memory, in a file, over TCP."""
from __future__ import annotations

import os
import pickle
import socket
import struct
import threading
import time
from datetime import timedelta

from ..errors import DistNetworkError, DistStoreError

__all__ = ["FileStore", "HashStore", "PrefixStore", "Store", "TCPStore"]


def seconds(timeout):
    """Return a timedelta or a number of seconds as seconds."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)


class Store:
    """Byte strings under names, shared by processes. Subclasses give ``_do(verb, *arguments)``, which never waits."""

    def __init__(self):
        self.timeout = timedelta(seconds=300)

    def set_timeout(self, timeout):
        """Set how long get() and wait() wait (a timedelta)."""
        self.timeout = timeout

    def set(self, key, value):
        """Put a value under a key."""
        self._do("set", key, _bytes(value))

    def get(self, key):
        """Return the value under a key as bytes; wait until it is there."""
        self.wait([key])
        return self._do("get", key)

    def add(self, key, amount):
        """Add to the number under a key (0 if absent) and return the sum."""
        return self._do("add", key, int(amount))

    def append(self, key, value):
        """Append to the value under a key."""
        self._do("append", key, _bytes(value))

    def compare_set(self, key, expected_value, desired_value):
        """Replace the value if it is the expected one (or absent and expected empty); return what is there afterwards."""
        return self._do("compare_set", key, _bytes(expected_value), _bytes(desired_value))

    def check(self, keys):
        """Tell whether all keys are there."""
        return self._do("check", list(keys))

    def wait(self, keys, timeout=None):
        """Wait until all keys are there.

        Raises:
            DistStoreError: not within the timeout.
        """
        limit = seconds(self.timeout if timeout is None else timeout)
        end, pause = time.monotonic() + limit, 0.001
        while not self.check(keys):
            if time.monotonic() > end:
                raise DistStoreError(f"store: wait timeout after {limit:g} s, keys: {', '.join(map(str, keys))}", op="wait")
            time.sleep(pause)
            pause = min(2 * pause, 0.05)

    def delete_key(self, key):
        """Remove a key; tell whether it was there."""
        return self._do("delete_key", key)

    def num_keys(self):
        """Return the number of keys."""
        return self._do("num_keys")

    def multi_get(self, keys):
        """Return the values under several keys."""
        return [self.get(key) for key in keys]

    def multi_set(self, keys, values):
        """Put several values."""
        for key, value in zip(keys, values, strict=True):
            self.set(key, value)

    def has_extended_api(self):
        """Tell whether append and the multi_ functions are there: they are."""
        return True


def _bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def _apply(table, verb, *args):
    """Carry out one verb on a dictionary."""
    if verb == "set":
        table[args[0]] = args[1]
    elif verb == "get":
        return table.get(args[0])
    elif verb == "add":
        value = int(table.get(args[0], b"0")) + args[1]
        table[args[0]] = str(value).encode()
        return value
    elif verb == "append":
        table[args[0]] = table.get(args[0], b"") + args[1]
    elif verb == "compare_set":
        key, expected, desired = args
        if table.get(key, b"") == expected:
            table[key] = desired
        return table.get(key, expected)
    elif verb == "check":
        return all(key in table for key in args[0])
    elif verb == "delete_key":
        return table.pop(args[0], None) is not None
    else:
        return len(table)
    return None


class HashStore(Store):
    """A store in this process's memory."""

    def __init__(self):
        super().__init__()
        self._table, self._lock = {}, threading.Lock()

    def _do(self, verb, *args):
        with self._lock:
            return _apply(self._table, verb, *args)


class FileStore(Store):
    """A store in a file that all processes see.

    Args:
        file_name: path; made if it does not exist, its folder must.
        world_size: how many processes use it; kept for its users.
    """

    def __init__(self, file_name, world_size=-1):
        super().__init__()
        self.path, self.world_size = os.fspath(file_name), world_size

    def _do(self, verb, *args):
        import fcntl
        with open(self.path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            data = file.read()
            table = pickle.loads(data) if data else {}
            result = _apply(table, verb, *args)
            if verb not in ("get", "check", "num_keys"):
                file.truncate(0)
                file.write(pickle.dumps(table))
        return result


class PrefixStore(Store):
    """Another store's keys behind a prefix."""

    def __init__(self, prefix, store):
        super().__init__()
        self.prefix, self.underlying_store = prefix, store
        self.timeout = store.timeout

    def _do(self, verb, *args):
        if verb == "check":
            args = ([f"{self.prefix}/{key}" for key in args[0]],)
        elif args:
            args = (f"{self.prefix}/{args[0]}", *args[1:])
        return self.underlying_store._do(verb, *args)


class TCPStore(Store):
    """A store that one process serves and all reach over TCP.

    Args:
        host_name: the server's address.
        port: the server's port; 0 on the server takes a free one (`port` tells which).
        world_size: number of processes; the server waits for them if wait_for_workers.
        is_master: serve (exactly one process).
        timeout: how long to wait for the server, for the workers, and in get() and wait().
        wait_for_workers: on the server, wait until world_size processes have come.
        master_listen_fd: a listening socket to serve on instead of a new one.
    Raises:
        DistNetworkError: the port is taken, or no server answers in time.
    """

    def __init__(self, host_name, port, world_size=None, is_master=False, timeout=timedelta(seconds=300), wait_for_workers=True,
                 multi_tenant=False, master_listen_fd=None, use_libuv=True):
        super().__init__()
        self.timeout, self.host, self.is_master, self.world_size = timeout, host_name, is_master, world_size
        self._server = None
        if is_master:
            self._server = _Server(host_name, port, master_listen_fd, multi_tenant)
            port = self._server.port
        self.port = port
        self._lock = threading.Lock()
        self._socket = self._connect(seconds(timeout))
        if wait_for_workers and world_size:
            self.add("worker-count", 1)
            if is_master:
                end = time.monotonic() + seconds(timeout)
                while int(self.get("worker-count")) < world_size:
                    if time.monotonic() > end:
                        raise DistStoreError(f"TCPStore: {int(self.get('worker-count'))} of {world_size} processes came within "
                                             f"{seconds(timeout):g} s", op="TCPStore")
                    time.sleep(0.01)

    def _connect(self, limit):
        end = time.monotonic() + limit
        while True:
            try:
                connection = socket.create_connection((self.host, self.port), timeout=max(0.1, end - time.monotonic()))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(None)
                return connection
            except OSError as error:
                if time.monotonic() > end:
                    raise DistNetworkError(f"TCPStore: no server at {self.host}:{self.port} within {limit:g} s ({error})", op="TCPStore") from error
                time.sleep(0.05)

    def _do(self, verb, *args):
        with self._lock:
            try:
                _send(self._socket, (verb, *args))
                return _receive(self._socket)
            except (OSError, EOFError) as error:
                raise DistNetworkError(f"TCPStore: lost the server at {self.host}:{self.port} ({error})", op=verb) from error


# The wire carries JSON, not pickles: a store listens on the network, and a pickle from there could run anything.
def _send(connection, message):
    import json
    data = json.dumps(_pack(message)).encode()
    connection.sendall(struct.pack("!I", len(data)) + data)


def _receive(connection):
    import json
    size, = struct.unpack("!I", _read(connection, 4))
    return _unpack(json.loads(_read(connection, size)))


def _pack(value):
    if isinstance(value, bytes):
        return {"b": value.hex()}
    return [_pack(v) for v in value] if isinstance(value, (list, tuple)) else value


def _unpack(value):
    if isinstance(value, dict):
        return bytes.fromhex(value["b"])
    return [_unpack(v) for v in value] if isinstance(value, list) else value


def _read(connection, n):
    parts = []
    while n:
        part = connection.recv(min(n, 1 << 20))
        if not part:
            raise EOFError("connection closed")
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


class _Server:
    """Accept connections and answer them, one thread each, until the process ends."""

    shared = {}

    def __init__(self, host, port, listen_fd, multi_tenant):
        if multi_tenant and port in self.shared:
            self.port = port
            return
        try:
            if listen_fd is not None:
                self.socket = socket.socket(fileno=listen_fd)
            else:
                self.socket = socket.create_server((host, port), backlog=512)
        except OSError as error:
            raise DistNetworkError(f"TCPStore: the server cannot listen on {host}:{port} ({error.strerror or error})", op="TCPStore") from error
        self.port = self.socket.getsockname()[1]
        self.table, self.lock = {}, threading.Lock()
        if multi_tenant:
            self.shared[self.port] = self
        threading.Thread(target=self.accept, name="TCPStore", daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), name="TCPStore", daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                while True:
                    verb, *args = _receive(connection)
                    with self.lock:
                        result = _apply(self.table, verb, *args)
                    _send(connection, result)
            except (OSError, EOFError):
                return
