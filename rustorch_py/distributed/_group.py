"""Process groups: who takes part, by which MPI communicator, for how long a call may wait."""
from __future__ import annotations

import os
import socket
import warnings
from datetime import timedelta

from .. import tensor as _t
from ..errors import BackendUnavailableError, DeviceError, DistBackendError, DTypeError, TensorTypeError, TensorValueError
from ._host import HostLane
from ._mpi import EXTRA, installed, launched, mpi
from ._store import HashStore, PrefixStore, seconds
from ._store_comm import StoreComm, World

default_pg_timeout = timedelta(minutes=30)


class Backend(str):
    """Name of a communication back end; "gloo" is served by MPI as "mpi" is."""
    UNDEFINED, GLOO, NCCL, UCC, MPI, XCCL = "undefined", "gloo", "nccl", "ucc", "mpi", "xccl"
    backend_list = [UNDEFINED, GLOO, NCCL, XCCL, UCC, MPI]
    default_device_backend_map = {"cpu": MPI, "cuda": NCCL}

    def __new__(cls, name):
        if not isinstance(name, str):
            raise TensorValueError(f"Backend constructor parameter must be string-ish, got {type(name).__name__}")
        return str.__new__(cls, name.lower())


class ProcessGroup:
    """Ranks that take part in collectives together. Made by `init_process_group` and `new_group`.

    Args:
        comm: MPI communicator of its own, or without MPI a `StoreComm`; collectives travel on it, messages between two ranks on a duplicate.
        ranks: the members' numbers in the default group.
        backend: name asked for. carries: what carries the tensors of a device type, a dict.
        timeout: seconds a call may last. group_name, group_desc: for people. device_id: the GPU of barriers.
    """

    def __init__(self, comm, ranks, backend, carries, timeout, group_name, group_desc=None, device_id=None):
        self.comm, self.p2p = comm, comm.Dup()
        self.carries, self.device_id, self._lanes = carries, device_id, {}
        self.ranks, self.backend, self.timeout = list(ranks), Backend(backend), timeout
        self.group_name, self.group_desc = group_name, group_desc or "undefined"
        self._rank, self._size = comm.Get_rank(), comm.Get_size()
        self.place = {rank: i for i, rank in enumerate(self.ranks)}
        self.sequence = 0            # collectives so far, for debug mode

    def rank(self):
        """Return this process's number in the group."""
        return self._rank

    def size(self):
        """Return the number of members."""
        return self._size

    def name(self):
        """Return the back end's name."""
        return str(self.backend)

    def set_timeout(self, timeout):
        """Set how long a call may last (timedelta or seconds)."""
        self.timeout = seconds(timeout)

    def lane(self, op, name, tensor):
        """Return what carries a tensor: `HostLane` or `DeviceLane`.

        Raises:
            TensorTypeError: not a tensor. DeviceError, DistBackendError: the group does not carry what is on its device.
        """
        if not isinstance(tensor, _t.Tensor):
            raise TensorTypeError(f"{op}: Invalid function argument. Expected parameter `{name}` of type torch.Tensor, got {type(tensor).__name__}", op=op)
        if tensor.layout is not _t.strided:
            raise DTypeError(f"{op}: {name} has layout {tensor.layout}; only strided tensors are carried", op=op)
        device = tensor.device
        found = self._lanes.get(device)
        if found is None:
            found = self._lanes[device] = self._open(op, name, device)
        return found

    def _open(self, op, name, device):
        if device.type not in self.carries:
            if device.type == "cpu":
                raise DistBackendError(f"{op}: No backend type associated with device type cpu: the group was made for {self.backend}; "
                                       "'cpu:mpi,cuda:nccl' carries both", op=op)
            raise DeviceError(f"{op}: {name} is on {device}; the back end {self.backend} carries tensors in host memory only; "
                              "'cpu:mpi,cuda:nccl' carries both", op=op)
        if device.type == "cpu":
            return HostLane(self)
        from ._device import DeviceLane
        return DeviceLane(self, device)

    def barrier_lane(self, device_ids=None):
        """Return what a barrier goes through."""
        if device_ids is None and self.device_id is None and "cpu" in self.carries:
            return self.lane("barrier", "tensor", _t.empty(0))
        from .. import cuda
        device = _t.device("cuda", device_ids[0]) if device_ids else self.device_id or _t.device("cuda", cuda.current_device())
        return self.lane("barrier", "tensor", _t.empty(0, device=device))

    def shutdown(self):
        """Free the communicators; all members call it."""
        for device, found in self._lanes.items():
            if device.type != "cpu":
                found.close()
        self._lanes = {}
        if isinstance(self.comm, StoreComm):
            self.comm.Free()
        elif self.comm is not None and not mpi().Is_finalized():
            self.p2p.Free()
            self.comm.Free()
        self.comm = self.p2p = None

    def __repr__(self):
        return f"<ProcessGroup {self.group_name}: rank {self._rank} of {self._size}, {self.backend}>"


class GroupMember:
    """What the names of groups stand for where there is no group."""
    WORLD = None
    NON_GROUP_MEMBER = -100


class _Meta(type):
    @property
    def WORLD(cls):
        """The default group, or None."""
        return _world["default"]

    @WORLD.setter
    def WORLD(cls, value):
        _world["default"] = value


class group(metaclass=_Meta):
    """The default group, as ``group.WORLD``."""


_world = {"default": None, "groups": [], "made": 0, "begun": 0}


def is_initialized():
    """Tell whether the default process group exists."""
    return _world["default"] is not None


def default(op):
    """Return the default group.

    Raises:
        ValueError: there is none.
    """
    if _world["default"] is None:
        raise TensorValueError("Default process group has not been initialized, please make sure to call init_process_group.", op=op)
    return _world["default"]


def member(op, pg):
    """Return the group to act in, or None (with a warning) where this process is no member."""
    if pg is None:
        return default(op)
    if pg is GroupMember.NON_GROUP_MEMBER:
        warnings.warn(f"Running {op} on global rank {default(op).rank()} which does not belong to the given group.", stacklevel=3)
        return None
    if not isinstance(pg, ProcessGroup):
        raise TensorTypeError(f"{op}: group: expected a ProcessGroup, got {type(pg).__name__}", op=op)
    if pg.comm is None:
        raise TensorValueError(f"{op}: Invalid process group specified: it was destroyed", op=op)
    return pg


def _backend(op, backend, over_mpi=None):
    """Return (the back end's name, what carries the tensors of each device type) after checking that they can be had.

    Args:
        over_mpi: whether MPI is there; None: if it is installed.
    """
    name = Backend("mpi" if backend is None else backend)
    if backend is None:
        table = {"cpu": "mpi", "cuda": "nccl"}               # NCCL is looked for when a GPU's tensor comes
    elif ":" in name:                                        # "cpu:gloo,cuda:nccl"
        table = dict(part.split(":", 1) for part in name.split(","))
        if set(table) - {"cpu", "cuda"}:
            raise TensorValueError(f"{op}: backend: expected cpu:NAME, cuda:NAME or both with a comma, got {backend!r}", op=op)
        name = Backend(table.get("cpu", table.get("cuda")))
    else:
        table = {"cuda" if name == "nccl" else "cpu": str(name)}
    for device, each in table.items():
        if each not in (("nccl",) if device == "cuda" else ("mpi", "gloo")):
            raise TensorValueError(f"{op}: backend: expected 'mpi', 'gloo' or 'nccl', got {backend!r}" if ":" not in str(backend) else
                                   f"{op}: backend: expected cpu:mpi or cpu:gloo, cuda:nccl, got {backend!r}", op=op)
    if "cpu" in table and not (installed() if over_mpi is None else over_mpi):
        raise BackendUnavailableError(f"{op}({backend!r}): mpi4py, which carries the messages, is not installed: {EXTRA}", op=op)
    if "cuda" in table and backend is not None:
        from ._device import load
        load(f"{op}({str(backend)!r})")
    return name, table


def _device(op, device_id, carries):
    """Return the device that a group is bound to."""
    if device_id is None:
        return None
    device = _t.device("cuda", device_id) if isinstance(device_id, int) else _t.device(device_id)
    if device.type not in carries:
        raise DeviceError(f"{op}: device_id: the back end {', '.join(carries.values())} carries tensors on {', '.join(carries)}, got {device_id}", op=op)
    return None if device.type == "cpu" else device


def _limit(op, timeout):
    """Return a timeout in seconds."""
    if timeout is None:
        timeout = default_pg_timeout
    if not isinstance(timeout, timedelta):
        raise TensorTypeError(f"{op}: Expected timeout argument to be of type datetime.timedelta, got {timeout}", op=op)
    if timeout <= timedelta(0):
        raise TensorValueError(f"{op}: timeout must be positive, got {timeout}", op=op)
    return timeout.total_seconds()


def init_process_group(backend=None, init_method=None, timeout=None, world_size=-1, rank=-1, store=None, group_name="", pg_options=None, device_id=None,
                       _ranks=None):
    """Join the default group: all processes of the job call this, before any other call.

    Under mpirun or srun rank and size are MPI's. Processes that another launcher started with RANK, WORLD_SIZE, MASTER_ADDR and
    MASTER_PORT (or init_method, rank and world_size here) get places in an MPI job that rank 0 starts; they must be on one machine.
    A process alone is a group of one.

    Args:
        backend: "mpi", or "gloo", which MPI serves: tensors in host memory. "nccl": tensors on GPUs; without an MPI launcher the processes then
            need no MPI, and may be on several machines. "cpu:mpi,cuda:nccl": both; None: both, where NCCL is looked for when first needed.
        init_method: env://, tcp://HOST:PORT or file:///PATH: where processes without an MPI launcher meet.
        timeout: timedelta after which a collective that is not complete ends the job; default 30 minutes.
        world_size, rank: checked against MPI's.
        store: a `Store` for the processes to meet in, instead of init_method.
        group_name, pg_options: not used by these back ends; pg_options must be None.
        device_id: the GPU of this process, whose communicator is made at once; else by the first collective.
    Raises:
        ValueError: twice, or a rank or size that is not MPI's.
        DeviceError: "nccl" without GPUs or NCCL, or mpi4py missing.

    Example:
        >>> init_process_group("mpi")                                        # doctest: +SKIP
    """
    op = "init_process_group"
    name, carries = _backend(op, backend)
    limit = _limit(op, timeout)
    if is_initialized():
        raise TensorValueError("trying to initialize the default process group twice!", op=op)
    if store is not None and init_method is not None:
        raise TensorValueError(f"{op}: Cannot specify both init_method and store.", op=op)
    if pg_options is not None:
        raise TensorValueError(f"{op}: pg_options: MPI has none, got {type(pg_options).__name__}", op=op)
    device = _device(op, device_id, carries)
    elsewhere = not launched() and not (installed() and _mpi_runs()) and (
        world_size > 1 or int(os.environ.get("WORLD_SIZE", "1")) > 1 and (init_method or "env://").startswith("env"))
    if elsewhere:
        from ._bootstrap import adopt, rendezvous
        store, rank, world_size = rendezvous(op, init_method, store, rank, world_size, limit)
        if not 0 <= rank < world_size:
            raise TensorValueError(f"{op}: rank {rank} is not below the world size {world_size}", op=op)
    from ._failure import install
    if "cpu" not in carries and (elsewhere or not installed()):
        store, rank, world_size = (store, rank, world_size) if elsewhere else (HashStore(), 0, 1)
        keys = PrefixStore(f"rustorch/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{_world['begun']}", store)
        world = StoreComm(keys, "w", range(world_size), rank, limit)
        install(rank, world_size, World(keys, rank))
    else:
        if elsewhere:
            adopt(store, rank, world_size, min(limit, 300.0))
        MPI = mpi()
        if not launched() and MPI.COMM_WORLD.size == 1 and world_size != 1 and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
            raise TensorValueError(f"{op}: srun started {os.environ['SLURM_STEP_NUM_TASKS']} processes without MPI's launcher interface, so that each is alone; "
                                   "srun --mpi=pmix (Open MPI) or --mpi=pmi2 (MPICH), or srun --mpi=list for what there is", op=op)
        _same(op, "rank", rank, MPI.COMM_WORLD.rank)
        _same(op, "world_size", world_size, MPI.COMM_WORLD.size)
        if init_method is None or init_method.startswith("env"):
            for variable, got in (("RANK", MPI.COMM_WORLD.rank), ("WORLD_SIZE", MPI.COMM_WORLD.size)):
                if variable in os.environ:
                    _same(op, variable, int(os.environ[variable]), got)
        MPI.COMM_WORLD.Set_errhandler(MPI.ERRORS_RETURN)
        world = MPI.COMM_WORLD.Dup()
        install(world.rank, world.size)
    _world["begun"] += 1
    _world["default"] = ProcessGroup(world, range(world.size), name, carries, limit, group_name or "0", "default_pg", device)
    _world["groups"] = [_world["default"]]
    _world["made"] = 0
    if device is not None:
        _world["default"].barrier_lane().ready()


def _mpi_runs():
    """Tell whether the program has initialised MPI already."""
    import sys
    module = sys.modules.get("mpi4py.MPI")
    return module is not None and module.Is_initialized() and module.COMM_WORLD.size > 1


def _same(op, name, given, got):
    if given >= 0 and given != got:
        raise TensorValueError(f"{op}: {name} is {given}, but MPI's is {got}: start the program with as many ranks (mpirun -n), or leave {name} away", op=op)


def destroy_process_group(group=None):
    """Leave a group, or with None all of them; every member calls this."""
    op = "destroy_process_group"
    if group is GroupMember.NON_GROUP_MEMBER:
        return
    whole = default(op)
    pg = member(op, group)
    if pg is whole:
        for each in reversed(_world["groups"]):
            each.shutdown()
        _world.update(default=None, groups=[])
        from ._failure import remove
        remove()
    else:
        _world["groups"].remove(pg)
        pg.shutdown()


def new_group(ranks=None, timeout=None, backend=None, pg_options=None, use_local_synchronization=False, group_desc=None, device_id=None, sort_ranks=True):
    """Make a group of some ranks. All processes call this, in the same order; with use_local_synchronization only the members do.

    Args:
        ranks: numbers in the default group; None: all.
        timeout: timedelta; default 30 minutes.
        sort_ranks: number the members in increasing order, else as listed.
    Returns:
        the group; `GroupMember.NON_GROUP_MEMBER` where this process is none (None with use_local_synchronization).
    """
    op = "new_group"
    whole = default(op)
    name, carries = (whole.backend, whole.carries) if backend is None else _backend(op, backend, not isinstance(whole.comm, StoreComm))
    limit = whole.timeout if timeout is None else _limit(op, timeout)
    if pg_options is not None:
        raise TensorValueError(f"{op}: pg_options: MPI has none, got {type(pg_options).__name__}", op=op)
    device = _device(op, device_id, carries) or whole.device_id
    ranks = list(range(whole.size())) if ranks is None else [int(r) for r in ranks]
    if sort_ranks:
        ranks = sorted(ranks)
    if len(set(ranks)) != len(ranks):
        raise TensorValueError(f"{op}: ranks: each may be there once, got {ranks}", op=op)
    if len(ranks) > whole.size() or any(not 0 <= r < whole.size() for r in ranks):
        raise TensorValueError(f"{op}: the new group's rank should be within the world_size {whole.size()} set by init_process_group, got {ranks}", op=op)
    inside = whole.rank() in ranks
    _world["made"] += 1
    if not use_local_synchronization:
        _check_same_call(whole, op, ranks)
    elif not inside:
        return None
    if isinstance(whole.comm, StoreComm):
        comm = whole.comm.part(ranks) if inside else None
    elif use_local_synchronization:
        comm = whole.comm.Create_group(whole.comm.Get_group().Incl(ranks), tag=_tag(ranks))
    else:
        comm = whole.comm.Split(0 if inside else mpi().UNDEFINED, ranks.index(whole.rank()) if inside else 0)
    if not inside:
        return GroupMember.NON_GROUP_MEMBER
    pg = ProcessGroup(comm, ranks, name, carries, limit, str(_world["made"]), group_desc, device)
    _world["groups"].append(pg)
    return pg


def duplicate(pg, description):
    """Return a group of the same members with communicators of its own; all members call it, in step with the group's collectives."""
    return ProcessGroup(pg.comm.Dup(), pg.ranks, pg.backend, pg.carries, pg.timeout, pg.group_name, description, pg.device_id)


def _tag(ranks):
    """Return a tag that members of different groups made at once do not share by chance."""
    import zlib
    return zlib.crc32(repr(ranks).encode()) & 0x7fff


def _check_same_call(whole, op, ranks):
    """In debug mode, refuse a group that the ranks do not agree on."""
    from ._debug import compare
    compare(whole, op, {"ranks": ranks})


def _ranks_here(comm):
    """Return how many members are on this machine."""
    if isinstance(comm, StoreComm):
        hosts = comm.allgather(socket.gethostname())
        return hosts.count(hosts[comm.rank])
    node = comm.Split_type(mpi().COMM_TYPE_SHARED)
    size = node.size
    node.Free()
    return size


def new_subgroups(group_size=None, group=None, timeout=None, backend=None, pg_options=None, group_desc=None):
    """Cut the default group into groups of group_size neighbours (None: the ranks of one machine); returns (own group, all groups)."""
    op = "new_subgroups"
    whole = member(op, group)
    if group_size is None:
        group_size = _ranks_here(whole.comm)
        if min(whole.comm.allgather(group_size)) != group_size:
            raise TensorValueError(f"{op}: the machines hold different numbers of ranks; give group_size", op=op)
    world = whole.size()
    if group_size <= 0 or world < group_size or world % group_size:
        raise TensorValueError(f"{op}: The world size must be divisible by group_size, got world size {world}, group_size {group_size}", op=op)
    return new_subgroups_by_enumeration([whole.ranks[i:i + group_size] for i in range(0, world, group_size)], timeout, backend, pg_options, group_desc)


def new_subgroups_by_enumeration(ranks_per_subgroup_list, timeout=None, backend=None, pg_options=None, group_desc=None):
    """Make a group for each list of ranks; no rank may be in two. Returns (own group or None, all groups)."""
    op = "new_subgroups_by_enumeration"
    if not ranks_per_subgroup_list:
        raise TensorValueError("The arg 'ranks_per_subgroup_list' cannot be empty", op=op)
    seen = [rank for ranks in ranks_per_subgroup_list for rank in ranks]
    if len(set(seen)) != len(seen):
        raise TensorValueError(f"{op}: a rank has appeared in more than one subgroup: {ranks_per_subgroup_list}", op=op)
    own, made = None, []
    for ranks in ranks_per_subgroup_list:
        pg = new_group(ranks, timeout, backend, pg_options, group_desc=group_desc)
        made.append(pg)
        if pg is not GroupMember.NON_GROUP_MEMBER:
            own = pg
    return own, made


def get_rank(group=None):
    """Return this process's number in the group; -1 where it is no member."""
    whole = default("get_rank")
    if group is GroupMember.NON_GROUP_MEMBER:
        return -1
    return whole.rank() if group is None else member("get_rank", group).rank()


def get_world_size(group=None):
    """Return the number of members; -1 where this process is none."""
    whole = default("get_world_size")
    if group is GroupMember.NON_GROUP_MEMBER:
        return -1
    return whole.size() if group is None else member("get_world_size", group).size()


def get_backend(group=None):
    """Return the name under which the group's back end was asked for."""
    pg = default("get_backend") if group is None else group
    if pg is GroupMember.NON_GROUP_MEMBER:
        raise TensorValueError("Invalid process group specified", op="get_backend")
    return member("get_backend", pg).backend


def get_backend_config(group=None):
    """Return the back end of each device type as text."""
    pg = default("get_backend_config") if group is None else member("get_backend_config", group)
    return ",".join(f"{device}:{name}" for device, name in pg.carries.items())


def get_pg_count():
    """Return the number of groups this process is in."""
    return len(_world["groups"])


def get_process_group_ranks(group):
    """Return the members' numbers in the default group."""
    return list((default("get_process_group_ranks") if group is None else member("get_process_group_ranks", group)).ranks)


def get_global_rank(group, group_rank):
    """Return the default group's number of a member."""
    pg = member("get_global_rank", group)
    if not 0 <= group_rank < pg.size():
        raise TensorValueError(f"Group rank {group_rank} is not part of group {pg}", op="get_global_rank")
    return pg.ranks[group_rank]


def get_group_rank(group, global_rank):
    """Return a member's number in the group."""
    pg = member("get_group_rank", group)
    if global_rank not in pg.place:
        raise TensorValueError(f"Global rank {global_rank} is not part of group {pg}", op="get_group_rank")
    return pg.place[global_rank]


def get_node_local_rank(fallback_rank=None):
    """Return this process's number among those of its machine, as the launcher tells it."""
    for name in ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"):
        if name in os.environ:
            return int(os.environ[name])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise DistBackendError("LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow `get_node_local_rank` to work", op="get_node_local_rank")


def root(op, pg, rank, group_rank, name, fallback=None):
    """Return the group's number of the one rank that gives or takes; `rank` counts in the default group, `group_rank` in the group."""
    if rank is not None and group_rank is not None:
        raise TensorValueError(f"{op}: Can't specify both group_{name} and {name}", op=op)
    if group_rank is not None:
        if not 0 <= group_rank < pg.size():
            raise TensorValueError(f"{op}: group_{name} {group_rank} is not in the group of {pg.size()}", op=op)
        return group_rank
    if rank is None:
        if fallback is None:
            raise TensorValueError(f"{op}: Must specify {name} or group_{name}", op=op)
        rank = fallback
    if rank not in pg.place:
        raise TensorValueError(f"{op}: Global rank {rank} is not part of group {pg}", op=op)
    return pg.place[rank]
