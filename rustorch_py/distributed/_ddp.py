"""DistributedDataParallel: the same model on each rank, each on its own samples, with averaged gradients."""
from __future__ import annotations

import contextlib

from .. import tensor as _t
from ..errors import DeviceError, DistError, TensorTypeError, TensorValueError
from ..nn.modules.module import Module
from ..nn.parallel import to_device
from ._collectives import all_reduce, broadcast
from ._group import default, member
from ._reduce_op import ReduceOp
from ._reducer import Reducer
from ._work import watched
from .algorithms.join import Join, Joinable, JoinHook

__all__ = ["DistributedDataParallel"]

# PyTorch takes 25. In host memory buckets that fit a core's cache are summed faster than those that do not, and starting one costs little.
DEFAULT_CAP_MB = {"cpu": 1.0, "cuda": 25.0}


class _DDPJoinHook(JoinHook):
    def __init__(self, ddp):
        self.ddp = ddp

    def main_hook(self):
        sync, buffers, source = self.ddp._agree_on_step(joined=True)
        if buffers:
            self.ddp._send(self.ddp._buffers_to_send(), source)
        self.ddp.require_forward_param_sync = sync
        if sync:
            self.ddp.reducer.join_step()

    def post_hook(self, is_last_joiner):
        pg = self.ddp.process_group
        last = _t.tensor([pg.rank() if is_last_joiner else -1], device=self.ddp.device)
        all_reduce(last, ReduceOp.MAX, pg)
        self.ddp._send([p for _, p in self.ddp._named_parameters()] + self.ddp._buffers_to_send(), int(last.item()))


class DistributedDataParallel(Module, Joinable):
    """Wrap a module so that every backward leaves the mean of all ranks' gradients in ``.grad``.

    Parameters and buffers start as rank 0's. Gradients travel in buckets while backward still runs.

    Args:
        module: with at least one parameter that requires a gradient; its state is found under ``module.``.
        device_ids: None: the module runs where it is; or a list of its one GPU, to which inputs are then moved.
        output_device: None, or that GPU.
        dim: kept for callers; inputs are not split, each rank brings its own.
        broadcast_buffers: before each forward, give all ranks rank 0's buffers.
        init_sync: check shapes over ranks and send rank 0's state at the start.
        process_group: None: the default group. device_mesh: a mesh of one dimension, in place of a group.
        bucket_cap_mb: size of a bucket; None: 1 in host memory, 25 on a GPU.
        find_unused_parameters: look, after each forward, for parameters that the loss does not reach on this rank.
        gradient_as_bucket_view: let ``.grad`` be a view of the bucket, which saves a copy.
        static_graph: the graph is the same in each step (allows reentrant checkpoints and unused parameters without looking for them).
        skip_all_reduce_unused_params: like find_unused_parameters, for parameters no rank uses; their gradients stay as they are.
    Raises:
        RuntimeError: no parameter requires a gradient, or the ranks' models differ.

    Example:
        >>> model = DistributedDataParallel(nn.Linear(3, 2))                 # doctest: +SKIP
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0, broadcast_buffers=True, init_sync=True, process_group=None, bucket_cap_mb=None,
                 find_unused_parameters=False, check_reduction=False, gradient_as_bucket_view=False, static_graph=False,
                 delay_all_reduce_named_params=None, param_to_hook_all_reduce=None, mixed_precision=None, device_mesh=None,
                 skip_all_reduce_unused_params=False):
        Module.__init__(self)
        Joinable.__init__(self)
        op = "DistributedDataParallel"
        if not isinstance(module, Module):
            raise TensorTypeError(f"{op}: module: expected a Module, got {type(module).__name__}", op=op)
        for name, value in (("delay_all_reduce_named_params", delay_all_reduce_named_params), ("param_to_hook_all_reduce", param_to_hook_all_reduce),
                            ("mixed_precision", mixed_precision)):
            if value is not None:
                raise TensorValueError(f"{op}: {name}: not supported, must be None", op=op)
        if device_mesh is not None:
            if process_group is not None:
                raise DistError("Cannot specify both process_group and device_mesh arguments.", op=op)
            if device_mesh.ndim != 1:
                raise DistError(f"Only 1D device mesh is supported, but got {device_mesh}.", op=op)
            process_group = device_mesh.get_group(0)
        self.module, self.dim = module, dim
        self.parameters_to_ignore = ignored = set(getattr(module, "_ddp_params_and_buffers_to_ignore", ()))
        named = self._named_parameters()
        trained = [(name, p) for name, p in named if p.requires_grad]
        if not trained:
            raise DistError(f"{op} is not needed when a module doesn't have any parameters that require a gradient.", op=op)
        for name, p in named:
            if type(p).__name__ == "UninitializedParameter":
                raise DistError(f"{op}: Modules with uninitialized parameters can't be used with `DistributedDataParallel`. Run a dummy forward pass to correctly "
                                f"initialize the modules ({name})", op=op)
            if p.device != named[0][1].device:
                raise DeviceError(f"{op}: expected all parameters on one device, got {named[0][0]} on {named[0][1].device}, {name} on {p.device}", op=op)
        self.device = named[0][1].device
        self.device_type = self.device.type
        self.device_ids, self.output_device = self._only_device(device_ids, output_device)
        self._divides_by_all = True
        self.process_group = default(op) if process_group is None else member(op, process_group)
        if self.process_group is None:
            raise TensorValueError(f"{op}: process_group: this rank is no member of it", op=op)
        self.broadcast_buffers, self.find_unused_parameters = broadcast_buffers, find_unused_parameters or skip_all_reduce_unused_params
        self.gradient_as_bucket_view, self.static_graph = gradient_as_bucket_view, static_graph
        self.bucket_cap_mb = DEFAULT_CAP_MB[self.device_type] if bucket_cap_mb is None else float(bucket_cap_mb)
        if not self.bucket_cap_mb > 0:
            raise TensorValueError(f"{op}: bucket_cap_mb: expected a number above 0, got {bucket_cap_mb}", op=op)
        self.require_backward_grad_sync = self.require_forward_param_sync = True
        self._has_buffers = bool(self._buffers_to_send())
        if init_sync:
            self._check_same_model(named)
            self._send([p for _, p in named] + self._buffers_to_send())
        self.reducer = Reducer([p for _, p in trained], [name for name, _ in trained], self.process_group, self.bucket_cap_mb,
                               self.find_unused_parameters, gradient_as_bucket_view, static_graph)

    def _only_device(self, device_ids, output_device):
        """Check device_ids and output_device; returns (list of the module's GPU or None, where outputs are)."""
        op, own = "DistributedDataParallel", self.device
        if not device_ids and output_device is None:
            return None, None
        if own.type == "cpu":
            raise TensorValueError(f"{op} device_ids and output_device arguments only work with single-device/multiple-device GPU modules or CPU modules, "
                                   f"but got device_ids {device_ids}, output_device {output_device}, and module parameters {{{own!r}}}.", op=op)
        given = [_t.device("cuda", d) if isinstance(d, int) else _t.device(d) for d in (*(device_ids or ()), *(() if output_device is None else (output_device,)))]
        if len(device_ids or (0,)) > 1:
            raise TensorValueError("device_ids can only be None or contain a single element.", op=op)
        if any(d != own for d in given):
            raise TensorValueError(f"{op}: device_ids, output_device: expected {own}, where the module is, got {device_ids}, {output_device}", op=op)
        return [own.index], own

    def _named_parameters(self):
        return [(name, p) for name, p in self.module.named_parameters() if name not in self.parameters_to_ignore]

    def _buffers_to_send(self):
        return [b for name, b in self.module.named_buffers() if name not in self.parameters_to_ignore and b is not None]

    def _check_same_model(self, named):
        """Compare names, shapes and dtypes with rank 0's."""
        mine = [(name, tuple(p.shape), tuple(p.stride()), str(p.dtype), p.requires_grad) for name, p in named]
        pg = self.process_group
        with watched("DistributedDataParallel", pg.timeout):
            first = pg.comm.bcast(mine, 0)
            wrong = None
            if len(first) != len(mine):
                wrong = f"has {len(mine)} parameters, rank 0 has {len(first)}"
            else:
                wrong = next((f"has {a}, rank 0 has {b}" for a, b in zip(mine, first) if a != b), None)
            said = pg.comm.allgather(wrong)
        for rank, problem in enumerate(said):
            if problem:
                raise DistError(f"DistributedDataParallel: the models differ: rank {rank} {problem} (name, shape, strides, dtype, requires_grad)",
                                op="DistributedDataParallel")

    def _send(self, tensors, source=0):
        """Give all ranks one rank's values: one message a dtype."""
        by_dtype = {}
        for t in tensors:
            if t.numel():
                by_dtype.setdefault(t.dtype, []).append(t.detach())
        with _t.no_grad():
            for group in by_dtype.values():
                flat = _t.cat([t.reshape(-1) for t in group])
                broadcast(flat, group=self.process_group, group_src=source)
                if self.process_group.rank() != source:
                    at = 0
                    for t in group:
                        t.copy_(flat[at:at + t.numel()].view(t.shape))
                        at += t.numel()

    def forward(self, *inputs, **kwargs):
        """Call the module."""
        buffers, source = self.require_forward_param_sync and self.broadcast_buffers and self._has_buffers, 0
        if self._join_config.enable:
            active = Join.notify_join_context(self)
            _, buffers, source = self._agree_on_step(joined=False)
            if active is not None and not self._divides_by_all:
                active.wait()
                self.reducer.divisor = int(active.result()[0].item())
        elif self.reducer.divisor != self.process_group.size():
            self.reducer.divisor = self.process_group.size()
        if buffers:
            self._send(self._buffers_to_send(), source)
        reduces = _t.is_grad_enabled() and self.require_backward_grad_sync
        self.reducer.sync = self.require_backward_grad_sync
        if self.device_ids:
            inputs, kwargs = to_device((inputs, kwargs), self.device)
        output = self.module(*inputs, **kwargs)
        if reduces:
            self.require_forward_param_sync = True
            look = self.find_unused_parameters and not self.static_graph
            self.reducer.prepare(list(_tensors(output)) if look else ())
        else:
            self.require_forward_param_sync = False
        return output

    @contextlib.contextmanager
    def no_sync(self):
        """Within this context gradients add up on each rank; the first forward and backward after it averages them."""
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    # -- fewer batches on some ranks -------------------------------------------------------------

    def _agree_on_step(self, joined):
        """Tell the ranks that are done what this step exchanges: (gradients?, buffers?, the rank whose buffers count)."""
        facts = [0, 0, 0] if joined else [int(self.require_backward_grad_sync and _t.is_grad_enabled()),
                                          int(self.require_forward_param_sync and self.broadcast_buffers and self._has_buffers), self.process_group.rank()]
        facts = _t.tensor(facts, device=self.device)
        all_reduce(facts, ReduceOp.MAX, self.process_group)
        sync, buffers, source = facts.tolist()
        return bool(sync), bool(buffers), source

    def join(self, divide_by_initial_world_size=True, enable=True, throw_on_early_termination=False):
        """Return a context manager for a loop in which the ranks have different numbers of batches.

        A rank that is done answers the others' exchanges with zeros; at the end all get the model of the one that was last.

        Args:
            divide_by_initial_world_size: divide sums of gradients by the number of all ranks; False: of those that are not done.
            enable, throw_on_early_termination: as of `algorithms.join.Join`.
        """
        return Join([self], enable, throw_on_early_termination, divide_by_initial_world_size=divide_by_initial_world_size)

    def join_hook(self, **kwargs):
        """Return what `Join` calls; divide_by_initial_world_size as of `join`."""
        self._divides_by_all = kwargs.get("divide_by_initial_world_size", True)
        return _DDPJoinHook(self)

    @property
    def join_device(self):
        """The device of its parameters."""
        return self.device

    @property
    def join_process_group(self):
        """The group over which gradients are averaged."""
        return self.process_group

    def register_comm_hook(self, state, hook):
        """Reduce buckets by ``hook(state, bucket)`` instead of a mean; it returns a future of the reduced flat tensor.

        Hooks are in `distributed.algorithms.ddp_comm_hooks`.

        Raises:
            RuntimeError: a hook is registered already.
        """
        if not callable(hook):
            raise TensorTypeError("Communication hook must be callable.", op="register_comm_hook")
        if self.reducer.hook is not None:
            raise DistError("register_comm_hook or register_builtin_comm_hook can only be called once.", op="register_comm_hook")
        self.reducer.hook, self.reducer.hook_state = hook, state

    @staticmethod
    def _set_params_and_buffers_to_ignore_for_model(module, params_and_buffers_to_ignore):
        """Leave parameters and buffers of these names to the program."""
        module._ddp_params_and_buffers_to_ignore = list(params_and_buffers_to_ignore)

    def __getstate__(self):
        raise DistError("DistributedDataParallel: belongs to this run's processes and cannot be pickled; save model.module or its state_dict()",
                        op="DistributedDataParallel")


def _tensors(value):
    """Yield the tensors in nested lists, tuples, dictionaries and data classes."""
    if isinstance(value, _t.Tensor):
        yield value
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _tensors(getattr(value, name))
