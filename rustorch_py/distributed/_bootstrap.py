"""An MPI world for processes that no MPI launcher started (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, as torchrun sets them).

MPI's own connect and accept are not there between separately started processes in Open MPI 5. So rank 0 starts mpirun with one
small process a rank (`_donor.py`), which hands its place in the job, that is its environment, to the waiting process.
"""
from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from ..errors import BackendUnavailableError, DistBackendError, DistNetworkError, TensorValueError
from ._mpi import EXTRA
from ._store import FileStore, TCPStore, seconds

_IDENTITY = ("PMIX_", "PMI_", "OMPI_", "PRTE_", "HYDI_", "MPI_", "FI_", "UCX_")


def find_launcher():
    """Return the path of mpirun: the one beside this Python (the MPI wheels put it there) or on the PATH; None if there is none."""
    beside = os.path.dirname(sys.executable)
    for name in ("mpirun", "mpiexec"):
        found = shutil.which(name, path=beside) or shutil.which(name)
        if found:
            return found
    return None


def launcher_command(ranks, *, oversubscribe=True, local=True):
    """Return mpirun's command line for a number of ranks, and the environment it needs.

    Args:
        oversubscribe: allow more ranks than cores. local: all ranks are on this machine.
    Raises:
        BackendUnavailableError: no launcher is installed.
    """
    path = find_launcher()
    if path is None:
        raise BackendUnavailableError(f"distributed: no mpirun beside {sys.executable} or on the PATH: {EXTRA}", op="distributed")
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    env = dict(os.environ)
    if "Open MPI" in version or "PRRTE" in version or "prte" in version.lower():
        env.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
        env.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        if ranks > (os.cpu_count() or 1):
            # Ranks that wait for others must not keep those from computing.
            env.setdefault("OMPI_MCA_mpi_yield_when_idle", "1")
        if local:
            env.setdefault("OMPI_MCA_btl", "^ofi")         # a network's; looking for one takes each rank a second
        # Without --bind-to none all threads of a rank would share one core.
        return [path, "--bind-to", "none", *(["--oversubscribe"] if oversubscribe else []), "-n", str(ranks)], env
    return [path, "-n", str(ranks)], env


def rendezvous(op, init_method, store, rank, world_size, timeout):
    """Return the store where the processes meet, and (rank, world size), from arguments, address or environment."""
    method = init_method or "env://"
    parts = urlsplit(method)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}

    def number(value, name):
        if value >= 0:
            return value
        text = query.get(name) or (os.environ.get(name.upper()) if parts.scheme in ("env", "") else None)
        if text is None:
            raise TensorValueError(f"{op}: Error initializing torch.distributed using {parts.scheme}:// rendezvous: "
                                   f"{'environment variable ' + name.upper() + ' expected, but not set' if parts.scheme == 'env' else name + ' parameter missing'}", op=op)
        return int(text)

    rank, world_size = number(rank, "rank"), number(world_size, "world_size")
    if store is not None:
        return store, rank, world_size
    if parts.scheme == "env":
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
        if missing:
            raise TensorValueError(f"{op}: Error initializing torch.distributed using env:// rendezvous: environment variable {missing[0]} expected, but not set",
                                   op=op)
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            port += 1            # the port itself is held by the launcher's own store
    elif parts.scheme == "tcp":
        host, port = parts.hostname, parts.port
    elif parts.scheme == "file":
        return FileStore(parts.path, world_size), rank, world_size
    else:
        raise TensorValueError(f"{op}: init_method: expected env://, tcp://HOST:PORT or file:///PATH, got {init_method!r}", op=op)
    if (host, port) not in _stores:
        _stores[host, port] = TCPStore(host, port, world_size, rank == 0, timedelta(seconds=timeout), wait_for_workers=False)
    return _stores[host, port], rank, world_size


_stores = {}           # (host, port) -> TCPStore: a program may leave the group and join again, and the server's port stays taken


def adopt(store, rank, world_size, timeout):
    """Take a place in an MPI job of world_size ranks, all on this machine; afterwards MPI may be initialised.

    Raises:
        DistNetworkError: the processes are on several machines. DistBackendError: mpirun fails.
    """
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    here = socket.gethostname()
    store.set(f"mpi/{attempt}/host/{rank}", here)
    store.set_timeout(timedelta(seconds=timeout))
    server = None
    if rank == 0:
        hosts = {store.get(f"mpi/{attempt}/host/{r}").decode() for r in range(world_size)}
        folder = "" if len(hosts) > 1 else tempfile.mkdtemp(prefix="rustorch-mpi-")
        store.set(f"mpi/{attempt}/folder", folder)
    folder = store.get(f"mpi/{attempt}/folder").decode()
    if not folder:
        raise DistNetworkError("init_process_group: RANK and WORLD_SIZE name processes on several machines; start those by mpirun or srun", op="init_process_group")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.join(folder, str(rank)))
    listener.listen(1)
    store.add(f"mpi/{attempt}/ready", 1)
    if rank == 0:
        while int(store.get(f"mpi/{attempt}/ready")) < world_size:
            time.sleep(0.01)
        command, env = launcher_command(world_size)
        env = {k: v for k, v in env.items() if not k.startswith(("PMIX_", "PMI_"))}
        donor = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_donor.py")
        server = subprocess.Popen([*command, sys.executable, "-S", donor, folder], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    connection = _accept(listener, server, timeout)
    names, descriptors, _, _ = socket.recv_fds(connection, 64, 2)
    with connection.makefile("rb") as stream:
        given = json.loads(stream.readline())
    given.update(zip(json.loads(names), map(str, descriptors)))
    listener.close()
    os.environ.update({k: v for k, v in given.items() if k.startswith(_IDENTITY)})
    store.add(f"mpi/{attempt}/adopted", 1)
    if rank == 0:
        while int(store.get(f"mpi/{attempt}/adopted")) < world_size:
            time.sleep(0.01)
        shutil.rmtree(folder, ignore_errors=True)
    atexit.register(_Link(connection, server).done)


def _accept(listener, server, timeout):
    end = time.monotonic() + timeout
    listener.settimeout(0.1)
    while True:
        try:
            return listener.accept()[0]
        except TimeoutError:
            if server is not None and server.poll() is not None:
                raise DistBackendError(f"init_process_group: mpirun ended with {server.returncode}; it said why above", op="init_process_group") from None
            if time.monotonic() > end:
                raise DistBackendError(f"init_process_group: no place in the MPI job within {timeout:g} s", op="init_process_group") from None


class _Link:
    """The connection to the donor. Its end before ours means that the job was aborted: this process then ends too."""

    def __init__(self, connection, server):
        connection.settimeout(None)
        self.connection, self.server, self.finished = connection, server, False
        threading.Thread(target=self.watch, name="mpi-link", daemon=True).start()

    def watch(self):
        try:
            gone = not self.connection.recv(16)
        except OSError:
            gone = True
        if gone and not self.finished:
            os.write(2, b"rustorch_py: the MPI job of this process was aborted\n")
            os._exit(1)

    def done(self):
        from mpi4py import MPI
        if MPI.Is_initialized() and not MPI.Is_finalized():
            MPI.Finalize()
        self.finished = True
        try:
            self.connection.sendall(b"done")       # the donor ends when this process closes the connection by ending
        except OSError:
            pass
