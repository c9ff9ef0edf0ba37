"""fully_shard: each parameter of a module is cut over ranks on its own; a unit's parameters are whole only while it computes.

The parameters are DTensors, which optimizers, clipping and checkpoints take as they are. Before forward one message gathers the unit's
pieces into one piece of memory; after it only the pieces stay. What operators saved of the whole parameters is a note of where it
lay (saved-tensor hooks); backward gathers once more, and one reduce-scatter gives each rank its piece of the mean gradient.
On top of tensor parallel the pieces are those of the rank's own part: the DTensors lie on the mesh (tensor parallel, data parallel).
Source: Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel", VLDB 2023.
"""
from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

from ... import tensor as _t
from ...autograd import Function
from ...autograd.graph import saved_tensors_hooks
from ...errors import DistError, TensorTypeError, TensorValueError
from ...nn.modules.module import Module
from ...nn.parameter import Parameter
from ...tensor import Tensor
from .._collectives import all_gather_into_tensor, all_reduce, reduce_scatter_tensor
from .._group import new_group
from ..tensor._dtensor import DTensor, this_mesh, wrap
from ..tensor.placement_types import Replicate, Shard, chunk
from ._fsdp import put

__all__ = ["CPUOffloadPolicy", "FSDPModule", "MixedPrecisionPolicy", "OffloadPolicy", "UnshardHandle", "fully_shard", "register_fsdp_forward_method"]


@dataclass(frozen=True)
class MixedPrecisionPolicy:
    """Dtypes a unit computes and sends in. The pieces that the optimizer steps keep their own.

    Args:
        param_dtype: of the whole parameters; None: their own.
        reduce_dtype: of gradients while they are added up; None: that of the whole parameters.
        output_dtype: floating-point outputs of forward are cast to it.
        cast_forward_inputs: floating-point inputs are cast to param_dtype.
    """
    param_dtype: object = None
    reduce_dtype: object = None
    output_dtype: object = None
    cast_forward_inputs: bool = True


@dataclass(frozen=True)
class OffloadPolicy:
    """Where pieces are kept: with this base class, where the module computes."""


@dataclass(frozen=True)
class CPUOffloadPolicy(OffloadPolicy):
    """Keep pieces, their gradients and so the optimizer's state in host memory; the whole parameters are put together on the GPU. A module
    that computes in host memory is not changed by it.

    Args:
        pin_memory: ask for page-locked memory (`Tensor.pin_memory`), which a GPU copies faster.
    """
    pin_memory: bool = True


class _Gather(Function):
    """Pieces to whole parameters; gradients go back as this rank's pieces of the mean."""

    @staticmethod
    def forward(ctx, unit, *pieces):
        ctx.unit = unit
        whole = unit.ready if unit.ready is not None else unit.gather()
        unit.ready = None
        if unit.small is not None:
            unit.keep(whole)
        views = tuple(unit.views(whole))
        ctx.mark_non_differentiable(*(v for v, p in zip(views, pieces) if not p.requires_grad))
        return views

    @staticmethod
    def backward(ctx, *grads):
        unit = ctx.unit
        unit.whole = unit.kept = None            # all that reads the parameters in this unit's backward has run
        return None, *unit.scatter(grads)


def _brought_home(piece, local):
    """Return a gradient's piece as a tensor of its own where its parameter's piece is, in page-locked memory if that is."""
    if local.is_pinned():
        return _t.empty(piece.shape, dtype=local.dtype, pin_memory=True).copy_(piece)
    return piece.to(local.device, local.dtype).contiguous().clone()


class _Unit:
    """The parameters of one `fully_shard` call.

    Args:
        owners: (module, attribute, parameter), each parameter once; ties: (module, attribute, number of the owner).
        mesh: of one dimension, or of two: (copies, pieces).
    """

    running = []                 # units in whose forward we are

    def __init__(self, owners, ties, mesh, reshard, place, policy, offload):
        self.mesh, self.policy, self.offload, self.ties = mesh, policy, offload, ties
        self.group = mesh._groups[-1]
        self.copies = mesh._groups[0] if mesh.ndim == 2 else None
        self.ranks = self.group.size()
        self.factor = self.ranks * (self.copies.size() if self.copies else 1)
        self.whole = self.ready = self.pending = self.kept = None
        self.set_reshard("fully_shard", reshard)
        self.device = self._place(owners[0][2])
        self.sync = self.sync_copies = True
        self.owners, self.parameters, self.shapes, self.dims, self.tensor_parallel = [], [], [], [], []
        for module, attr, p in owners:
            self._cut(module, attr, p, place)
        self.dtype = policy.param_dtype or self.parameters[0].dtype
        dtypes = {p.dtype for p in self.parameters}
        if len(dtypes) > 1:
            raise DistError(f"fully_shard: FSDP expects uniform original parameter dtype but got {sorted(map(str, dtypes))}; give submodules units of their own",
                            op="fully_shard")
        # Pieces are sent padded to the largest; width: elements of all padded pieces of a rank, one after the other.
        self.counts = [math.prod(s) for s in self.shapes]
        self.widths = [-(-s[0] // self.ranks) * math.prod(s[1:]) for s in self.shapes]
        self.width, self.total = sum(self.widths), sum(self.counts)
        for module, attr, i in ties:
            module._parameters[attr] = self.parameters[i]

    def set_reshard(self, op, value):
        """Set what happens between forward and backward (`fully_shard`'s reshard_after_forward)."""
        self.small, self.reshard = None, value
        if value is None or isinstance(value, bool):
            return
        if not isinstance(value, int):
            raise TensorTypeError(f"{op}: reshard_after_forward: expected a bool, an int or None, got {value!r}", op=op)
        if value < 1 or self.ranks % value:
            raise TensorValueError(f"If passing reshard_after_forward as an int, it should be a factor of {self.ranks}, not {value}", op=op)
        self.reshard = value != 1
        if 1 < value < self.ranks:
            at = self.group.rank() // value * value
            self.small = new_group(self.group.ranks[at:at + value], use_local_synchronization=True, sort_ranks=False, group_desc="fsdp_reshard")

    def _place(self, first):
        """Return the device that the unit computes on."""
        first = first._local_tensor if isinstance(first, DTensor) else first
        if self.mesh.device_type == first.device.type or self.mesh.device_type == "cpu":
            return first.device
        from ... import cuda
        return _t.device("cuda", cuda.current_device())

    def _cut(self, module, attr, p, place):
        """Replace a parameter by this rank's piece of it."""
        spread = p if isinstance(p, DTensor) else None
        local = p._local_tensor.detach() if spread is not None else p.detach()
        wanted = place(p) if place is not None else None
        if wanted is not None and not isinstance(wanted, Shard):
            raise TensorTypeError(f"fully_shard: shard_placement_fn: expected Shard or None, got {wanted!r}", op="fully_shard")
        if local.dim() == 0:
            raise TensorValueError("fully_shard doesn't support scalar parameters. Change " f"{attr} to a 1D tensor with numel equal to 1.", op="fully_shard")
        dim = wanted.dim % local.dim() if wanted is not None else 0
        mesh = self.mesh
        if spread is not None:
            mesh = _joint(spread._mesh, mesh)
        first, end = chunk(local.shape[dim], self.ranks, self.group.rank())
        piece = local.narrow(dim, first, end - first).clone(memory_format=_t.contiguous_format).to(self.device)
        if isinstance(self.offload, CPUOffloadPolicy) and piece.is_cuda:
            piece = piece.cpu()
            if self.offload.pin_memory:
                piece = piece.pin_memory()
        placements = (*(spread._placements if spread is not None else ()), *([Replicate()] if self.copies else []), Shard(dim))
        new = Parameter(wrap(piece, mesh, placements, tuple(p.shape)), requires_grad=p.requires_grad)
        new.__dict__.update({k: v for k, v in p.__dict__.items() if k not in ("_local_tensor", "_mesh", "_placements", "_grad", "_is_param")})
        p._fsdp_taken = True
        module._parameters[attr] = new
        self.owners.append((module, attr))
        self.parameters.append(new)
        self.dims.append(dim)
        moved = list(local.shape)
        self.shapes.append((moved.pop(dim), *moved))               # the dimension that is cut comes first
        self.tensor_parallel.append(None if spread is None else (spread._mesh, spread._placements, tuple(p.shape)))

    # -- messages --------------------------------------------------------------------------------

    def gather(self):
        """Return the whole parameters, one after the other in one tensor."""
        with _t.no_grad():
            mine = _t.zeros(self.width, dtype=self.dtype, device=self.device)
            at = 0
            for p, dim, width in zip(self.parameters, self.dims, self.widths):
                local = p._local_tensor.detach().movedim(dim, 0)
                mine[at:at + local.numel()].view(local.shape).copy_(local)
                at += width
            got = _t.empty(self.ranks, self.width, dtype=self.dtype, device=self.device)
            all_gather_into_tensor(got, mine, self.group)
            whole = _t.empty(self.total, dtype=self.dtype, device=self.device)
            at = to = 0
            for shape, count, width in zip(self.shapes, self.counts, self.widths):
                whole[to:to + count].copy_(got[:, at:at + width].reshape(-1)[:count])
                at, to = at + width, to + count
            return whole

    def keep(self, whole):
        """Keep this rank's part of the whole parameters, cut over the ranks of the smaller group."""
        n = self.small.size()
        width = -(-self.total // n)
        self.kept = _t.zeros(width, dtype=self.dtype, device=self.device)
        mine = whole.detach()[self.small.rank() * width:][:width]
        with _t.no_grad():
            self.kept[:mine.numel()].copy_(mine)

    def again(self):
        """Return the whole parameters for backward."""
        if self.kept is None:
            return self.gather()
        with _t.no_grad():
            got = _t.empty(self.small.size() * self.kept.numel(), dtype=self.dtype, device=self.device)
            all_gather_into_tensor(got, self.kept, self.small)
        return got

    def views(self, whole):
        """Return the parameters as views of `gather`'s tensor."""
        out, at = [], 0
        for shape, count, dim in zip(self.shapes, self.counts, self.dims):
            out.append(whole[at:at + count].view(shape).movedim(0, dim))
            at += count
        return out

    def scatter(self, grads):
        """Return this rank's pieces of the mean of the ranks' gradients; None where there is nothing to give yet."""
        wanted = [p.requires_grad for p in self.parameters]
        if self.pending is not None:
            grads = [a if b is None else b if a is None else a + b for a, b in zip(grads, self.pending)]
            self.pending = None
        if not self.sync:
            self.pending = [g if w else None for g, w in zip(grads, wanted)]
            return [None] * len(grads)
        dtype = self.policy.reduce_dtype or self.dtype
        with _t.no_grad():
            sent = _t.zeros(self.ranks, self.width, dtype=dtype, device=self.device)
            at = 0
            for g, dim, width, w in zip(grads, self.dims, self.widths, wanted):
                if g is not None and w:
                    g = g.movedim(dim, 0).reshape(-1)
                    full, rest = divmod(g.numel(), width) if width else (0, 0)
                    sent[:full, at:at + width].copy_(g[:full * width].view(full, width))
                    if rest:
                        sent[full, at:at + rest].copy_(g[full * width:])
                at += width
            sent /= self.factor
            got = _t.empty(self.width, dtype=dtype, device=self.device)
            reduce_scatter_tensor(got, sent, group=self.group)
            if self.copies is not None and self.sync_copies:
                all_reduce(got, group=self.copies)
            out, at = [], 0
            for p, dim, shape, width, w in zip(self.parameters, self.dims, self.shapes, self.widths, wanted):
                local = p._local_tensor
                piece = got[at:at + local.numel()].view((local.shape[dim], *shape[1:])).movedim(0, dim)
                out.append(_brought_home(piece, local) if w else None)
                at += width
            return out

    # -- computing -------------------------------------------------------------------------------

    def put(self, values):
        """Let the modules' attributes be these tensors; None: the pieces again."""
        for i, (module, attr) in enumerate(self.owners):
            put(module, attr, values and values[i])
        for module, attr, i in self.ties:
            put(module, attr, values and values[i])

    @contextlib.contextmanager
    def computing(self):
        """Make the parameters whole for a forward."""
        if self in _Unit.running:                   # a method that calls forward
            yield
            return
        free = self.reshard if self.reshard is not None else bool(_Unit.running)
        values = list(_Gather.apply(self, *(p._local_tensor for p in self.parameters)))
        recorded = any(v.requires_grad for v in values)
        first = min((v.data_ptr() for v in values if v.numel()), default=0)
        last = first + self.total * self.dtype.itemsize
        for i, where in enumerate(self.tensor_parallel):
            if where is not None:
                values[i] = wrap(values[i], *where)

        def pack(t):
            if t.numel() == 0 or not first <= t.data_ptr() < last:
                return t
            return (t.data_ptr() - first) // t.element_size(), t.shape, t.stride()

        def unpack(packed):
            if isinstance(packed, Tensor):
                return packed
            if self.whole is None:
                self.whole = self.again()
            return self.whole.as_strided(packed[1], packed[2], packed[0])
        self.put(values)
        del values
        _Unit.running.append(self)
        try:
            with saved_tensors_hooks(pack, unpack) if free and recorded and self.ranks > 1 else contextlib.nullcontext():
                yield
        finally:
            _Unit.running.pop()
            self.put(None)


def _joint(tp, dp):
    """Return the mesh of tensor parallel and pieces, tensor parallel first: pieces are cut from the rank's own part."""
    root = tp._root
    if root is not dp._root or not tp.mesh_dim_names or set(tp.mesh_dim_names) & set(dp.mesh_dim_names or ()):
        raise DistError(f"fully_shard: a parameter is a DTensor on {tp}; that mesh and {dp} must be slices of one mesh: mesh['tp'] and mesh['dp']", op="fully_shard")
    return root[(*tp.mesh_dim_names, *dp.mesh_dim_names)]


def _cast(tree, dtype):
    if isinstance(tree, Tensor):
        return tree.to(dtype) if tree.is_floating_point() and tree.dtype is not dtype else tree
    if type(tree) in (tuple, list):
        return type(tree)(_cast(x, dtype) for x in tree)
    if type(tree) is dict:
        return {k: _cast(v, dtype) for k, v in tree.items()}
    return tree


class UnshardHandle:
    """What `FSDPModule.unshard` gives; ``wait()`` waits for the parameters."""

    def wait(self):
        """Return when the parameters are gathered: they are."""


class FSDPModule:
    """What `fully_shard` adds to a module's class."""

    def __new__(cls, *args, **kwargs):
        """Make a plain module of the class that was sharded."""
        plain = cls.__mro__[2]
        self = plain.__new__(plain, *args, **kwargs)
        self.__init__(*args, **kwargs)
        return self

    def forward(self, *args, **kwargs):
        """Call the module's forward with whole parameters."""
        return self._fsdp_call(super().forward, args, kwargs)

    def _fsdp_call(self, method, args, kwargs):
        unit = self.__dict__["_fsdp_unit"]
        if unit is None:
            return method(*args, **kwargs)
        policy = unit.policy
        if policy.param_dtype is not None and policy.cast_forward_inputs:
            args, kwargs = _cast(tuple(args), policy.param_dtype), _cast(kwargs, policy.param_dtype)
        with unit.computing():
            out = method(*args, **kwargs)
        return out if policy.output_dtype is None else _cast(out, policy.output_dtype)

    def _fsdp_units(self, recurse):
        modules = self.modules() if recurse else [self]
        return [m.__dict__["_fsdp_unit"] for m in modules if isinstance(m, FSDPModule) and m.__dict__["_fsdp_unit"] is not None]

    def unshard(self, async_op=False):
        """Gather the parameters ahead of the next forward; with async_op returns an `UnshardHandle`."""
        for unit in self._fsdp_units(False):
            unit.ready = unit.gather()
        return UnshardHandle() if async_op else None

    def reshard(self):
        """Forget what `unshard` gathered."""
        for unit in self._fsdp_units(False):
            unit.ready = None

    def set_requires_gradient_sync(self, requires_gradient_sync, *, recurse=True):
        """Whether backward sends gradients; else they are added up here until a backward does (gradient accumulation)."""
        for unit in self._fsdp_units(recurse):
            unit.sync = bool(requires_gradient_sync)

    def set_requires_all_reduce(self, requires_all_reduce, *, recurse=True):
        """Whether backward adds gradients up over the copies of a mesh of two dimensions."""
        for unit in self._fsdp_units(recurse):
            unit.sync_copies = bool(requires_all_reduce)

    def set_reshard_after_forward(self, reshard_after_forward, recurse=True):
        """Whether whole parameters are freed between forward and backward."""
        for unit in self._fsdp_units(recurse):
            unit.set_reshard("set_reshard_after_forward", reshard_after_forward)

    def set_gradient_divide_factor(self, factor):
        """Divide the sum of gradients by this number instead of by the number of ranks."""
        for unit in self._fsdp_units(False):
            unit.factor = float(factor)


def fully_shard(module, *, mesh=None, reshard_after_forward=None, shard_placement_fn=None, mp_policy=None, offload_policy=None, ignored_params=None):
    """Cut a module's parameters over ranks; returns the module, whose class is now also an `FSDPModule`.

    Call it on submodules first (each is gathered and freed on its own), last on the model, before the optimizer is made. All ranks start
    with the same parameters. Each rank computes the loss of its own batch; gradients are means over the ranks.

    Args:
        module: or a list of modules, whose parameters form one unit: the first module's forward gathers them.
        mesh: of one dimension, None: all ranks; of two: (copies, pieces). With tensor parallel, a slice of the mesh.
        reshard_after_forward: free the whole parameters between forward and backward; None: of all but the outermost unit. A number, which
            divides the number of ranks: keep them cut over as many neighbours, which send less in backward for that memory.
        shard_placement_fn: ``fn(parameter)``, which returns the `Shard` to cut by, or None for Shard(0).
        mp_policy: a `MixedPrecisionPolicy`. offload_policy: an `OffloadPolicy` or `CPUOffloadPolicy`.
        ignored_params: set of parameters to leave alone.
    Raises:
        RuntimeError: parameters of several dtypes in a unit, shared with another unit, or DTensors on a mesh that has nothing to do with ``mesh``.

    Example:
        >>> for block in model.blocks:                           # doctest: +SKIP
        ...     fully_shard(block)
        >>> fully_shard(model)                                   # doctest: +SKIP
    """
    op = "fully_shard"
    modules = [module] if isinstance(module, Module) else list(module)
    if not modules or not all(isinstance(m, Module) for m in modules):
        raise TensorTypeError(f"{op}: module: expected a Module or a list of them, got {type(module).__name__}", op=op)
    if offload_policy is not None and not isinstance(offload_policy, OffloadPolicy):
        raise TensorTypeError(f"{op}: offload_policy: expected an OffloadPolicy, got {type(offload_policy).__name__}", op=op)
    if mp_policy is not None and not isinstance(mp_policy, MixedPrecisionPolicy):
        raise TensorTypeError(f"{op}: mp_policy: expected a MixedPrecisionPolicy, got {type(mp_policy).__name__}", op=op)
    mesh = this_mesh(op, mesh)
    if mesh.ndim not in (1, 2):
        raise TensorValueError(f"{op}: mesh: expected one or two dimensions, got {mesh}", op=op)
    if any(isinstance(m, FSDPModule) for m in modules):
        raise DistError(f"{op}: fully_shard was already called on {type(modules[0]).__name__}", op=op)
    ignored = {id(p) for p in ignored_params or ()}
    owners, ties, seen = [], [], {}
    for top in modules:
        for m in _own_modules(top):
            for attr, p in m._parameters.items():
                if p is None or id(p) in ignored:
                    continue
                if id(p) in seen:
                    if (m, attr) not in [(a, b) for a, b, _ in owners]:
                        ties.append((m, attr, seen[id(p)]))
                    continue
                if getattr(p, "_fsdp_taken", False):
                    raise DistError(f"{op}: {attr} of {type(m).__name__} is shared with a module that has its own unit; put both into one", op=op)
                seen[id(p)] = len(owners)
                owners.append((m, attr, p))
    unit = _Unit(owners, ties, mesh, reshard_after_forward, shard_placement_fn, mp_policy or MixedPrecisionPolicy(), offload_policy) if owners else None
    for i, m in enumerate(modules):
        m.__dict__["_fsdp_unit"] = unit if i == 0 else None
        cls = type(m)
        m.__class__ = type(f"FSDP{cls.__name__}", (FSDPModule, cls), {"__module__": cls.__module__})
    return module


def _own_modules(top):
    """Iterate over a module and those inside it, except those that have units of their own."""
    yield top
    for child in top.children():
        if not isinstance(child, FSDPModule):
            yield from _own_modules(child)


def register_fsdp_forward_method(module, method_name):
    """Let a method besides forward compute with whole parameters too."""
    if not isinstance(module, FSDPModule):
        return
    method = getattr(type(module), method_name, None)
    if method is None:
        raise TensorValueError(f"register_fsdp_forward_method: {type(module).__name__} has no method {method_name!r}", op="register_fsdp_forward_method")
    module.__dict__[method_name] = lambda *args, **kwargs: module._fsdp_call(method.__get__(module), args, kwargs)
