"""FullyShardedDataParallel: each rank keeps a slice of the parameters; a unit is whole only while it computes.

The parameters of a unit lie one after the other in a flat tensor, cut into equal slices. Forward gathers the slices, backward gathers
them again and sends the sum of gradients back in slices. Both are one autograd function of the slice, so that the engine does the
bookkeeping; what operators save of the whole parameters is a note of where it lies (saved-tensor hooks), not the memory.
Source: Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel", VLDB 2023.
"""
from __future__ import annotations

import contextlib
import enum
import math

from ... import tensor as _t
from ...autograd import Function
from ...autograd.graph import saved_tensors_hooks
from ...errors import DeviceError, DistError, TensorTypeError, TensorValueError
from ...nn.modules.module import Module
from ...nn.parameter import Parameter
from .._collectives import all_gather_into_tensor, all_reduce, broadcast, reduce_scatter_tensor
from .._group import default, member

__all__ = ["FullyShardedDataParallel", "ShardingStrategy"]

WRAPPED = "_fsdp_wrapped_module"


class ShardingStrategy(enum.Enum):
    """What is cut into slices: FULL_SHARD parameters, gradients and optimizer state (ZeRO 3); SHARD_GRAD_OP keeps the parameters whole
    between forward and backward (ZeRO 2); NO_SHARD cuts nothing."""
    FULL_SHARD = 1
    SHARD_GRAD_OP = 2
    NO_SHARD = 3


class _Gather(Function):
    """Slice to whole flat tensor; the gradient goes back as this rank's slice of the mean."""

    @staticmethod
    def forward(ctx, shard, unit):
        ctx.unit = unit
        return unit.gather(shard)

    @staticmethod
    def backward(ctx, grad):
        unit = ctx.unit
        unit.whole = None                        # all that reads the parameters in this unit's backward has run
        return unit.scatter(grad), None


def put(module, attr, value):
    """Let a module's parameter read as `value`; None: as it is registered."""
    if value is None:
        module.__dict__.pop(attr, None)
    else:
        module.__dict__[attr] = value


class _Unit:
    """The parameters of one FullyShardedDataParallel that no other one inside it has.

    Args:
        owners: list of (module, attribute name, full name, parameter), each parameter once; ties: (module, attribute, place in owners).
    """

    def __init__(self, owners, ties, group, strategy):
        self.group, self.strategy, self.whole = group, strategy, None
        self.owners, self.ties = [(m, attr, name) for m, attr, name, _ in owners], ties
        parameters = [p for *_, p in owners]
        self.shapes, self.counts = [p.shape for p in parameters], [p.numel() for p in parameters]
        self.dtype, self.device = parameters[0].dtype, parameters[0].device
        self.total = sum(self.counts)
        self.pieces = 1 if strategy is ShardingStrategy.NO_SHARD else group.size()
        self.width = math.ceil(self.total / self.pieces)
        self.shard = Parameter(self.own_slice([p.detach() for p in parameters]), requires_grad=parameters[0].requires_grad)
        for module, attr, _ in [*self.owners, *((m, a, None) for m, a, _ in ties)]:
            del module._parameters[attr]
        self.tensors(None)

    def own_slice(self, tensors):
        """Return this rank's slice of tensors laid out one after the other, padded with zeros."""
        with _t.no_grad():
            flat = _t.zeros(self.width * self.pieces, dtype=self.dtype, device=self.device)
            flat[:self.total].copy_(_t.cat([t.reshape(-1) for t in tensors]))
            at = self.width * (self.group.rank() if self.pieces > 1 else 0)
            return flat[at:at + self.width].clone()

    def gather(self, shard):
        """Return the whole flat tensor."""
        if self.pieces == 1:
            return shard.detach().clone()
        flat = _t.empty(self.width * self.pieces, dtype=self.dtype, device=self.device)
        all_gather_into_tensor(flat, shard.detach(), self.group)
        return flat

    def scatter(self, grad):
        """Return this rank's slice of the mean of the ranks' gradients."""
        grad = grad.contiguous() / self.group.size()
        if self.pieces == 1:
            all_reduce(grad, group=self.group)
            return grad
        out = _t.empty(self.width, dtype=self.dtype, device=self.device)
        reduce_scatter_tensor(out, grad, group=self.group)
        return out

    def views(self, flat):
        """Return the parameters as views of the whole flat tensor."""
        out, at = [], 0
        for shape, n in zip(self.shapes, self.counts):
            out.append(flat[at:at + n].view(shape))
            at += n
        return out

    def tensors(self, views):
        """Let the modules' attributes be these tensors; None: take them away."""
        for i, (module, attr, _) in enumerate(self.owners):
            put(module, attr, None if views is None else views[i])
        for module, attr, i in self.ties:
            put(module, attr, None if views is None else views[i])

    @contextlib.contextmanager
    def computing(self):
        """Make the unit whole for a forward pass."""
        flat = _Gather.apply(self.shard, self)
        first, last = flat.data_ptr(), flat.data_ptr() + flat.numel() * flat.element_size()
        self.tensors(self.views(flat))
        free = self.strategy is ShardingStrategy.FULL_SHARD and self.pieces > 1 and flat.requires_grad

        def pack(t):
            if not first <= t.data_ptr() < last or t.numel() == 0:
                return t
            return (t.data_ptr() - first) // t.element_size(), t.shape, t.stride(), t.dtype

        def unpack(packed):
            if isinstance(packed, _t.Tensor):
                return packed
            if self.whole is None:
                with _t.no_grad():
                    self.whole = self.gather(self.shard)
            at, shape, stride, dtype = packed
            return self.whole.as_strided(shape, stride, at)
        try:
            del flat
            with saved_tensors_hooks(pack, unpack) if free else contextlib.nullcontext():
                yield
        finally:
            self.tensors(None)


class FullyShardedDataParallel(Module):
    """Wrap a module so that its parameters, gradients and optimizer state are spread over the ranks.

    Make the optimizer after wrapping; it sees one flat slice a unit. ``state_dict`` and ``load_state_dict`` speak the wrapped module's
    names and whole tensors, on all ranks together; a state of any number of ranks, or of the plain module, fits.

    Args:
        module: its parameters are of one dtype a unit, and all or none of a unit's require gradients.
        process_group: None: the default group.
        sharding_strategy: a `ShardingStrategy`; default FULL_SHARD.
        auto_wrap_policy: which submodules become units of their own (`fsdp.wrap`); else call this class on submodules first.
        ignored_modules: submodules whose parameters stay as they are.
        sync_module_states: start with rank 0's parameters and buffers.
        device_id: the GPU to which the module is moved first. cpu_offload, mixed_precision, backward_prefetch, param_init_fn: must be None.
    Raises:
        RuntimeError: no group, or parameters that do not go into one flat tensor.

    Example:
        >>> model = FullyShardedDataParallel(model, auto_wrap_policy=ModuleWrapPolicy({nn.TransformerEncoderLayer}))     # doctest: +SKIP
    """

    def __init__(self, module, process_group=None, sharding_strategy=None, cpu_offload=None, auto_wrap_policy=None, backward_prefetch=None,
                 mixed_precision=None, ignored_modules=None, param_init_fn=None, device_id=None, sync_module_states=False, device_mesh=None):
        super().__init__()
        op = "FullyShardedDataParallel"
        if not isinstance(module, Module):
            raise TensorTypeError(f"{op}: module: expected a Module, got {type(module).__name__}", op=op)
        for name, value in (("cpu_offload", cpu_offload), ("backward_prefetch", backward_prefetch), ("mixed_precision", mixed_precision),
                            ("param_init_fn", param_init_fn)):
            if value is not None:
                raise TensorValueError(f"{op}: {name}: not supported, must be None", op=op)
        if device_id is not None:
            module.to(_t.device("cuda", device_id) if isinstance(device_id, int) else _t.device(device_id))
        strategy = ShardingStrategy.FULL_SHARD if sharding_strategy is None else ShardingStrategy(sharding_strategy)
        if device_mesh is not None:
            if process_group is not None:
                raise DistError("Cannot specify both process_group and device_mesh arguments.", op=op)
            process_group = device_mesh.get_group()
        self.process_group = default(op) if process_group is None else member(op, process_group)
        if self.process_group is None:
            raise TensorValueError(f"{op}: process_group: this rank is no member of it", op=op)
        self.sharding_strategy, self._summoned = strategy, False
        ignored = {id(m) for top in ignored_modules or () for m in top.modules()}
        if sync_module_states:
            for t in [*module.parameters(), *module.buffers()]:
                broadcast(t.data, group=self.process_group, group_src=0)
        if auto_wrap_policy is not None:
            self._wrap_children(module, auto_wrap_policy, ignored, strategy)
        owners, ties, seen = [], [], {}
        for prefix, m in module.named_modules():
            if isinstance(m, FullyShardedDataParallel) or id(m) in ignored:
                continue
            for attr, p in list(m._parameters.items()):
                if p is None or attr == "_flat_param":
                    continue
                if id(p) in seen:
                    ties.append((m, attr, seen[id(p)]))
                    continue
                if owners and p.device != owners[0][3].device:
                    raise DeviceError(f"{op}: expected a unit's parameters on one device, got {owners[0][2]} on {owners[0][3].device}, {prefix}.{attr} on {p.device}", op=op)
                seen[id(p)] = len(owners)
                owners.append((m, attr, f"{prefix}.{attr}".replace(WRAPPED + ".", "").lstrip("."), p))
        kinds = {(p.dtype, p.requires_grad) for *_, p in owners}
        if len(kinds) > 1:
            raise DistError(f"{op}: Must flatten tensors with uniform dtype and requires_grad in one unit, got {sorted(map(str, kinds))}; wrap submodules on their own", op=op)
        self._unit = _Unit(owners, ties, self.process_group, strategy) if owners else None
        self._modules[WRAPPED] = module
        if self._unit is not None:
            self._parameters["_flat_param"] = self._unit.shard

    def _wrap_children(self, module, policy, ignored, strategy):
        """Wrap submodules, the innermost first; returns how many parameters of module are in no unit."""
        for name, child in module.named_children():
            if isinstance(child, FullyShardedDataParallel) or id(child) in ignored:
                continue
            numel = sum(p.numel() for p in child.parameters())
            if policy(module=child, recurse=True, nonwrapped_numel=numel):
                self._wrap_children(child, policy, ignored, strategy)
            left = sum(p.numel() for m in child.modules() for attr, p in m._parameters.items() if p is not None and attr != "_flat_param")
            if left and policy(module=child, recurse=False, nonwrapped_numel=left):
                setattr(module, name, FullyShardedDataParallel(child, self.process_group, strategy, ignored_modules=[m for m in child.modules() if id(m) in ignored]))

    @property
    def module(self):
        """The wrapped module."""
        return self._modules[WRAPPED]

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._modules[WRAPPED], name)

    def forward(self, *args, **kwargs):
        """Call the module with whole parameters."""
        if self._unit is None:
            return self.module(*args, **kwargs)
        with self._unit.computing():
            return self.module(*args, **kwargs)

    @staticmethod
    def fsdp_modules(module):
        """Return the units inside a module, itself included."""
        return [m for m in module.modules() if isinstance(m, FullyShardedDataParallel)]

    def clip_grad_norm_(self, max_norm, norm_type=2.0):
        """Scale all gradients so that their norm over all ranks is at most max_norm; returns the norm. Call it on the outermost unit."""
        inf = norm_type == math.inf
        total = 0.0
        units = [m._unit for m in self.fsdp_modules(self) if m._unit is not None]
        shared = _t.zeros((), dtype=_t.float64, device=units[0].device if units else None)
        for unit in units:
            g = unit.shard.grad
            if g is None:
                continue
            size = g.abs().max().to(_t.float64) if inf else g.to(_t.float64).abs().pow(norm_type).sum()
            size = size if inf else size / (self.process_group.size() if unit.pieces == 1 else 1)      # a whole one is on every rank
            shared = _t.maximum(shared, size) if inf else shared + size
        from .._reduce_op import ReduceOp
        all_reduce(shared, ReduceOp.MAX if inf else ReduceOp.SUM, self.process_group)
        total = shared.item() if inf else shared.item() ** (1 / norm_type)
        factor = max_norm / (total + 1e-6)
        if factor < 1:
            for p in self.parameters():
                if p.grad is not None:
                    p.grad.mul_(factor)
        return _t.tensor(total)

    @staticmethod
    @contextlib.contextmanager
    def summon_full_params(module, recurse=True, writeback=True, rank0_only=False, offload_to_cpu=False, with_grads=False):
        """Within this context the units' modules have whole parameters; changes are kept with writeback. All ranks enter together."""
        op = "summon_full_params"
        if rank0_only or offload_to_cpu or with_grads:
            raise TensorValueError(f"{op}: rank0_only, offload_to_cpu and with_grads are not supported, must be False", op=op)
        wrapped = [m for m in (FullyShardedDataParallel.fsdp_modules(module) if recurse else [module]) if not m._summoned]
        units = [m._unit for m in wrapped if m._unit is not None]
        for m in wrapped:
            m._summoned = True
        for unit in units:
            views = unit.views(unit.gather(unit.shard))
            for i, (m, attr, _) in enumerate(unit.owners):
                m._parameters[attr] = Parameter(views[i], requires_grad=unit.shard.requires_grad)
            for m, attr, i in unit.ties:
                m._parameters[attr] = unit.owners[i][0]._parameters[unit.owners[i][1]]
        try:
            yield
        finally:
            for m in wrapped:
                m._summoned = False
            for unit in units:
                if writeback:
                    with _t.no_grad():
                        unit.shard.copy_(unit.own_slice([m._parameters[attr].detach() for m, attr, _ in unit.owners]))
                for m, attr, _ in [*unit.owners, *((m, a, None) for m, a, _ in unit.ties)]:
                    m._parameters.pop(attr, None)

    def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
        """Return whole parameters and buffers under the wrapped module's names. All ranks call it."""
        if self._summoned:                  # a unit inside one whose state is being put together
            return super().state_dict(*args, destination=destination, prefix=prefix, keep_vars=keep_vars)
        with self.summon_full_params(self, writeback=False):
            state = super().state_dict(*args, destination=destination, prefix=prefix, keep_vars=keep_vars)
            for key in list(state):
                value = state.pop(key)
                if not key.endswith("_flat_param"):
                    state[key.replace(WRAPPED + ".", "")] = value.clone() if isinstance(value, _t.Tensor) and not keep_vars else value
        return state

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Take over whole parameters and buffers, as `state_dict` or the plain module gave them. All ranks call it."""
        if assign:
            raise TensorValueError("FullyShardedDataParallel.load_state_dict: assign is not supported, must be False", op="load_state_dict")
        with self.summon_full_params(self):
            own = super().state_dict()
            slices = {key: value for key, value in own.items() if key.endswith("_flat_param")}         # follow from the whole parameters
            names = {key.replace(WRAPPED + ".", ""): key for key in own if key not in slices}
            return super().load_state_dict({**slices, **{names.get(key, key): value for key, value in state_dict.items()}}, strict=strict)
