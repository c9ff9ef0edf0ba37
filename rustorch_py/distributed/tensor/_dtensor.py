"""DTensor: one tensor spread over a mesh of ranks, used as if it were whole.

The class answers for the whole tensor; `_local_tensor` is this rank's part and carries autograd's history (Note [Gradients of
distributed tensors] in `_redistribute`). Every call of the package's functions with a DTensor goes to `_dispatch` through
``__torch_function__``. To the kernels a DTensor is a tensor on a device that does not exist: a call that escaped is an error.
"""
from __future__ import annotations

from ... import tensor as _t
from ...autograd import Function
from ...errors import DistError, TensorTypeError, TensorValueError
from ...tensor import Tensor
from ...tensor._function import shell
from ...tensor._overrides import Shell
from .._collectives import broadcast, scatter
from ..device_mesh import DeviceMesh
from ._redistribute import own_part, redistribute_local
from .placement_types import Partial, Replicate, Shard, chunk, normal, part

__all__ = ["DTensor", "distribute_module", "distribute_tensor", "empty", "full", "ones", "rand", "randn", "zeros"]


def wrap(local, mesh, placements, shape):
    """Return the DTensor whose part on this rank is ``local``."""
    out = shell(DTensor, _t.empty(1, dtype=local.dtype).expand(1, *shape))
    out._local_tensor, out._mesh, out._placements = local, mesh, tuple(placements)
    return out


class _Local(Function):
    """The local tensor as an object of its own: what is done to it in place is not done to the DTensor's history."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


class DTensor(Shell, Tensor):
    """A tensor over the ranks of a `DeviceMesh`. Made by `distribute_tensor`, `DTensor.from_local` and the factories.

    Operators work on the whole tensor: each looks for the placements of its operands that need the fewest messages, moves operands
    where it must, and computes on the local parts. All ranks of the mesh make the same calls.

    Example:
        >>> w = distribute_tensor(torch.randn(8, 4), init_device_mesh("cpu", (2,)), [Shard(0)])        # doctest: +SKIP
        >>> (w @ w.T).full_tensor().shape                                                              # doctest: +SKIP
        torch.Size([8, 8])
    """

    shape, layout, ndim = Tensor.shape, Tensor.layout, Tensor.ndim

    def __new__(cls, *args, **kwargs):
        if args or kwargs:
            raise TensorTypeError("DTensor: call DTensor.from_local or distribute_tensor to make one", op="DTensor")
        return super().__new__(cls)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        from ._dispatch import call
        return call(func, args, kwargs or {})

    # -- what it is ------------------------------------------------------------------------------

    @property
    def device_mesh(self):
        """The mesh of ranks."""
        return self._mesh

    @property
    def placements(self):
        """How the tensor lies on each dimension of the mesh."""
        return self._placements

    @property
    def dtype(self):
        return self._local_tensor.dtype

    @property
    def device(self):
        return self._local_tensor.device

    @property
    def itemsize(self):
        return self._local_tensor.itemsize

    @property
    def nbytes(self):
        return self.numel() * self.itemsize

    @property
    def requires_grad(self):
        return self._local_tensor.requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self._local_tensor.requires_grad = value

    def requires_grad_(self, requires_grad=True):
        """Set whether a gradient is computed, in place."""
        self._local_tensor.requires_grad_(requires_grad)
        return self

    @property
    def grad_fn(self):
        return self._local_tensor.grad_fn

    @property
    def is_leaf(self):
        return self._local_tensor.is_leaf

    @property
    def grad(self):
        g = self._local_tensor.grad
        if g is None:
            self.__dict__.pop("_grad", None)
            return None
        kept = self.__dict__.get("_grad")
        if kept is None or kept._local_tensor is not g:
            kept = self.__dict__["_grad"] = wrap(g, self._mesh, _gradient_placements(self._placements), self.shape)
        return kept

    @grad.setter
    def grad(self, value):
        if value is None:
            self.__dict__.pop("_grad", None)
            self._local_tensor.grad = None
            return
        if not isinstance(value, DTensor):
            raise TensorTypeError(f"grad: expected a DTensor for a DTensor, got {type(value).__name__}", op="grad")
        want = _gradient_placements(self._placements)
        self._local_tensor.grad = value.redistribute(placements=want)._local_tensor.detach()

    @grad.deleter
    def grad(self):
        self.grad = None

    @property
    def data(self):
        return wrap(self._local_tensor.data, self._mesh, self._placements, self.shape)

    @data.setter
    def data(self, value):
        if not isinstance(value, DTensor) or value._mesh != self._mesh or value.shape != self.shape:
            raise TensorTypeError(f"data: expected a DTensor of shape {tuple(self.shape)} on the same mesh, got {type(value).__name__}", op="data")
        self._placements = value._placements
        self._local_tensor.data = value._local_tensor.detach()

    @property
    def retains_grad(self):
        return self._local_tensor.retains_grad

    @property
    def output_nr(self):
        return self._local_tensor.output_nr

    @property
    def _version(self):
        return self._local_tensor._version

    @property
    def is_cpu(self):
        return self._local_tensor.is_cpu

    @property
    def is_cuda(self):
        return self._local_tensor.is_cuda

    is_mps = is_metal = is_meta = is_sparse = is_quantized = is_nested = is_mkldnn = False
    name = None
    _base = None

    def __hash__(self):
        return id(self) >> 4

    def __repr__(self, **kwargs):
        return f"DTensor(local_tensor={self._local_tensor.detach()!r}, device_mesh={self._mesh!r}, placements={self._placements})"

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            raise DistError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.", op="deepcopy")
        local = self._local_tensor.detach().clone().requires_grad_(self.requires_grad)
        if self._local_tensor.grad is not None:
            local.grad = self._local_tensor.grad.clone()
        out = memo[id(self)] = wrap(local, self._mesh, self._placements, self.shape)
        out.__dict__.update({k: v for k, v in self.__dict__.items() if k not in ("_grad", "_local_tensor")})
        return out

    def __reduce_ex__(self, protocol):
        raise TensorTypeError("DTensor: a part of a tensor over many ranks is not pickled; save it by distributed.checkpoint, or its full_tensor()", op="DTensor")

    # -- gradients -------------------------------------------------------------------------------

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        """Compute the gradients of the leaves; all ranks of the mesh call it."""
        if gradient is None:
            if self.numel() != 1:
                raise DistError("grad can be implicitly created only for scalar outputs", op="backward")
            gradient = _t.ones_like(self._local_tensor)
        else:
            gradient = as_gradient("backward", gradient, self)
        if inputs is not None:
            inputs = [x._local_tensor if isinstance(x, DTensor) else x for x in ([inputs] if isinstance(inputs, Tensor) else inputs)]
        self._local_tensor.backward(gradient, retain_graph, create_graph, inputs=inputs)

    def retain_grad(self):
        """Keep the gradient of a tensor that is no leaf."""
        self._local_tensor.retain_grad()

    def register_hook(self, hook):
        """Call ``hook(gradient)``, a DTensor, when the gradient is there; what it returns replaces it."""
        where = self._mesh, _gradient_placements(self._placements), self.shape

        def on_local(g):
            got = hook(wrap(g, *where))
            return got if got is None else got.redistribute(placements=where[1])._local_tensor
        return self._local_tensor.register_hook(on_local)

    def register_post_accumulate_grad_hook(self, hook):
        """Call ``hook(self)`` after the gradient was added to ``grad``."""
        return self._local_tensor.register_post_accumulate_grad_hook(lambda _: hook(self))

    # -- parts and placements --------------------------------------------------------------------

    @staticmethod
    def from_local(local_tensor, device_mesh=None, placements=None, *, run_check=False, shape=None, stride=None, grad_placements=None):
        """Return a DTensor made of the ranks' local tensors; gradients flow back to them.

        Args:
            local_tensor: this rank's part.
            device_mesh: the ranks; None: all of them.
            placements: one a mesh dimension; None: the same tensor on all ranks.
            run_check: make sure of what is assumed: repeated tensors become the first rank's.
            shape: of the whole; None: pieces have one size on all ranks.
            stride: of the whole; must be the contiguous one or None.
            grad_placements: what the gradient that arrives is turned into; None: what follows from ``placements``.
        """
        op = "DTensor.from_local"
        if isinstance(local_tensor, DTensor):
            raise DistError(f"{op}: the local_tensor argument only accepts torch.Tensor but got {type(local_tensor)} value.", op=op)
        mesh = this_mesh(op, device_mesh)
        placements = normal(op, mesh, placements, local_tensor.dim())
        if shape is None:
            shape = list(local_tensor.shape)
            for m, p in enumerate(placements):
                if isinstance(p, Shard):
                    shape[p.dim] *= mesh.shape[m]
        else:
            want = part(mesh, placements, shape)[0]
            if list(local_tensor.shape) != want:
                raise TensorValueError(f"{op}: the local tensor has shape {tuple(local_tensor.shape)}; this rank's part of {tuple(shape)} is {tuple(want)}", op=op)
        if stride is not None and list(stride) != steps(shape):
            raise TensorValueError(f"{op}: stride: local parts are contiguous, expected {steps(shape)}, got {tuple(stride)}", op=op)
        local = local_tensor
        if run_check:
            local = local_tensor.detach().clone() if not local_tensor.requires_grad else local_tensor
            for m, p in enumerate(placements):
                if isinstance(p, Replicate):
                    broadcast(local.detach(), group=mesh._groups[m], group_src=0)
        if local.requires_grad:
            local = _Local.apply(local)
            if grad_placements is not None:
                local = _GradTo.apply(local, mesh, normal(op, mesh, grad_placements, len(shape)), _gradient_placements(placements), tuple(shape))
        return wrap(local, mesh, placements, tuple(shape))

    def to_local(self, *, grad_placements=None):
        """Return this rank's part; its gradient flows back.

        Args:
            grad_placements: what the ranks' gradients of it are; None: as its placements say, and of a repeated tensor the whole on
                each rank. If each rank uses the tensor for a share of the work, `Partial()`.
        """
        local = self._local_tensor
        if not local.requires_grad:
            return local
        if grad_placements is not None:
            local = _GradTo.apply(local, self._mesh, _gradient_placements(self._placements), normal("to_local", self._mesh, grad_placements, self.dim()), tuple(self.shape))
            return local
        return _Local.apply(local)

    def redistribute(self, device_mesh=None, placements=None, *, async_op=False, forward_dtype=None, backward_dtype=None):
        """Return the same tensor under other placements.

        Args:
            device_mesh: must be the tensor's own or None.
            placements: one a mesh dimension.
            async_op: accepted; the messages are waited for here.
            forward_dtype: dtype the values travel and come out in. backward_dtype: dtype the gradient travels in.
        """
        op = "redistribute"
        if device_mesh is not None and device_mesh != self._mesh:
            raise TensorValueError(f"{op}: from one mesh to another is not supported", op=op)
        if placements is None:
            raise DistError("placements is needed for redistribute!", op=op)
        target = normal(op, self._mesh, placements, self.dim())
        for p, q in zip(self._placements, target):
            if isinstance(q, Partial) and p != q and not isinstance(p, Replicate):
                raise DistError(f"Can not redistribute from {p} to {q}, redistributing to Partial is for internal use only!", op=op)
        local = self._local_tensor
        if forward_dtype is not None:
            local = local.to(forward_dtype)
        if backward_dtype is not None and local.requires_grad:
            local = _Cast.apply(local, local.dtype)
        local = redistribute_local(local, self._mesh, self.shape, self._placements, target)
        if backward_dtype is not None and local.requires_grad:
            local = _Cast.apply(local, backward_dtype)
        if target == self._placements and local is self._local_tensor:
            return self
        return wrap(local, self._mesh, target, self.shape)

    def full_tensor(self, *, grad_placements=None):
        """Return the whole as a plain tensor on every rank.

        Args:
            grad_placements: as of `to_local`.
        """
        return self.redistribute(placements=[Replicate()] * self._mesh.ndim).to_local(grad_placements=grad_placements)


class _Cast(Function):
    """Nothing forward; the gradient is cast."""

    @staticmethod
    def forward(ctx, x, dtype):
        ctx.dtype = dtype
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return grad.to(ctx.dtype), None


class _GradTo(Function):
    """Nothing forward; the gradient is moved from the placements it comes in to those it shall have."""

    @staticmethod
    def forward(ctx, x, mesh, target, source, shape):
        ctx.where = mesh, shape, source, target
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        mesh, shape, source, target = ctx.where
        return redistribute_local(grad, mesh, shape, source, target), None, None, None, None


def _gradient_placements(placements):
    """Return the placements of a tensor's gradient: Note [Gradients of distributed tensors] in `_redistribute`."""
    return tuple(Replicate() if isinstance(p, Partial) else p for p in placements)


def as_gradient(op, gradient, x):
    """Return the local tensor of a gradient given for a DTensor."""
    if isinstance(gradient, DTensor):
        return gradient.redistribute(placements=_gradient_placements(x._placements))._local_tensor
    if all(not isinstance(p, Shard) for p in x._placements):
        return gradient
    raise TensorTypeError(f"{op}: the gradient of a DTensor with placements {x._placements} must be a DTensor, got {type(gradient).__name__}", op=op)


def steps(shape):
    """Return the strides of a contiguous tensor of a shape."""
    out, step = [], 1
    for n in reversed(shape):
        out.insert(0, step)
        step *= max(n, 1)
    return out


def this_mesh(op, mesh):
    """Return a mesh, by default all ranks in a line."""
    if mesh is None:
        from .._group import default
        global _all
        whole = default(op)
        if _all is None or _all[0] is not whole:
            _all = whole, DeviceMesh.from_group(whole, "cpu" if "cpu" in whole.carries else "cuda")
        mesh = _all[1]
    if not isinstance(mesh, DeviceMesh):
        raise TensorTypeError(f"{op}: device_mesh: expected a DeviceMesh, got {type(mesh).__name__}", op=op)
    if mesh.get_coordinate() is None:
        raise DistError(f"{op}: device_mesh: rank {mesh.get_rank()} is not in the mesh {mesh}", op=op)
    return mesh


_all = None          # (default group, mesh of all its ranks)


def distribute_tensor(tensor, device_mesh=None, placements=None, *, src_data_rank=0):
    """Spread a tensor over a mesh.

    Args:
        tensor: a leaf, of one shape and dtype on all ranks.
        device_mesh: None: all ranks.
        placements: one a mesh dimension; None: repeated.
        src_data_rank: whose values count, by its place along each mesh dimension; None: each rank takes its part of its own tensor,
            without messages.
    Returns:
        a DTensor leaf that requires a gradient if the tensor does; a Parameter for a Parameter.
    """
    op = "distribute_tensor"
    mesh = this_mesh(op, device_mesh)
    if isinstance(tensor, DTensor):
        if tensor._mesh != mesh:
            raise TensorValueError(f"Cannot distribute a DTensor with device mesh {tensor._mesh} to a different device mesh {mesh}.", op=op)
        if placements is not None and normal(op, mesh, placements, tensor.dim()) != tensor._placements:
            raise TensorValueError(f"Cannot distribute a DTensor with placements {tensor._placements} to a different placements {tuple(placements)}. "
                                   "do you want to call `redistribute` instead?", op=op)
        return tensor
    if not tensor.is_leaf:
        raise DistError("`distribute_tensor` should be used to distribute leaf tensors! but found non-leaf tensor!", op=op)
    placements = normal(op, mesh, placements, tensor.dim())
    local = tensor.detach()
    if src_data_rank is not None:
        local = _from_source(local, mesh, placements, int(src_data_rank))
    else:
        local = own_part(local, mesh, placements)
    out = wrap(local.requires_grad_(tensor.requires_grad), mesh, placements, tuple(tensor.shape))
    if getattr(tensor, "_is_param", False) or type(tensor).__name__ == "Parameter":
        out._is_param = True
    return out


def _from_source(x, mesh, placements, source):
    """Give every rank its part of the tensor of the rank with place ``source`` along each dimension of the mesh."""
    x = x.contiguous().clone()
    with _t.no_grad():
        for m, p in enumerate(placements):
            group = mesh._groups[m]
            if isinstance(p, Shard):
                parts = [x.narrow(p.dim, a, b - a).contiguous() for a, b in (chunk(x.shape[p.dim], group.size(), i) for i in range(group.size()))]
                if len({q.shape for q in parts}) == 1:
                    out = _t.empty(parts[0].shape, dtype=x.dtype, device=x.device)
                    scatter(out, parts if group.rank() == source else None, group=group, group_src=source)
                else:                                   # scatter needs one size; the message is the tensor then
                    broadcast(x, group=group, group_src=source)
                    a, b = chunk(x.shape[p.dim], group.size(), group.rank())
                    out = x.narrow(p.dim, a, b - a).contiguous().clone()
                x = out
            else:
                broadcast(x, group=group, group_src=source)
                if isinstance(p, Partial) and p.reduce_op == "sum" and group.rank():
                    x = _t.zeros_like(x)
    return x


def distribute_module(module, device_mesh=None, partition_fn=None, input_fn=None, output_fn=None):
    """Make a module's parameters and buffers DTensors.

    Args:
        partition_fn: ``fn(name, submodule, mesh)``, which replaces parameters as it likes; what it leaves is repeated on all ranks.
        input_fn: ``fn(module, inputs, mesh)`` before forward; returns the inputs. output_fn: ``fn(module, outputs, mesh)`` after it.
    """
    from ...nn.parameter import Parameter
    op = "distribute_module"
    mesh = this_mesh(op, device_mesh)
    if getattr(module, "_distribute_module_applied", False):
        raise DistError("distribute_module should only be called once on a module, but it has already been called on this module!", op=op)
    for name, m in module.named_modules():
        if partition_fn is not None:
            partition_fn(name, m, mesh)
        for key, p in list(m._parameters.items()):
            if p is not None and not isinstance(p, DTensor):
                m.register_parameter(key, Parameter(distribute_tensor(p.data, mesh), requires_grad=p.requires_grad))
        for key, b in list(m._buffers.items()):
            if b is not None and not isinstance(b, DTensor):
                m._buffers[key] = distribute_tensor(b, mesh)
    if input_fn is not None:
        module.register_forward_pre_hook(lambda mod, inputs: input_fn(mod, inputs, mesh))
    if output_fn is not None:
        module.register_forward_hook(lambda mod, inputs, outputs: output_fn(mod, outputs, mesh))
    module._distribute_module_applied = True
    return module


# ---- factories ------------------------------------------------------------------------------------------------

def _made(op, make, size, dtype, layout, requires_grad, device_mesh, placements, whole=False):
    """Make a DTensor by ``make(sizes)``, of this rank's part, or with ``whole`` of everything, of which each rank takes its part."""
    if layout is not _t.strided:
        raise TensorValueError(f"{op}: layout: expected strided, got {layout}", op=op)
    size = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)
    mesh = this_mesh(op, device_mesh)
    placements = normal(op, mesh, placements, len(size))
    if any(isinstance(p, Partial) for p in placements):
        raise TensorValueError(f"{op}: placements: a new tensor is Shard or Replicate, got {placements}", op=op)
    local = own_part(make(size), mesh, placements) if whole else make(tuple(part(mesh, placements, size)[0]))
    return wrap(local.requires_grad_(requires_grad), mesh, placements, size)


def zeros(*size, requires_grad=False, dtype=None, layout=_t.strided, device_mesh=None, placements=None):
    """Return a DTensor of zeros."""
    return _made("zeros", lambda s: _t.zeros(s, dtype=dtype), size, dtype, layout, requires_grad, device_mesh, placements)


def ones(*size, requires_grad=False, dtype=None, layout=_t.strided, device_mesh=None, placements=None):
    """Return a DTensor of ones."""
    return _made("ones", lambda s: _t.ones(s, dtype=dtype), size, dtype, layout, requires_grad, device_mesh, placements)


def empty(*size, requires_grad=False, dtype=None, layout=_t.strided, device_mesh=None, placements=None):
    """Return a DTensor that is not filled."""
    return _made("empty", lambda s: _t.empty(s, dtype=dtype), size, dtype, layout, requires_grad, device_mesh, placements)


def full(size, fill_value, *, dtype=None, layout=_t.strided, requires_grad=False, device_mesh=None, placements=None):
    """Return a DTensor of one value."""
    size = (size,) if isinstance(size, int) else tuple(size)
    return _made("full", lambda s: _t.full(s, fill_value, dtype=dtype), size, dtype, layout, requires_grad, device_mesh, placements)


def rand(*size, requires_grad=False, dtype=None, layout=_t.strided, device_mesh=None, placements=None):
    """Return a DTensor of uniform numbers: those one process would draw, if the ranks' generators are in step."""
    return _made("rand", lambda s: _t.rand(s, dtype=dtype), size, dtype, layout, requires_grad, device_mesh, placements, True)


def randn(*size, requires_grad=False, dtype=None, layout=_t.strided, device_mesh=None, placements=None):
    """Return a DTensor of normal numbers: those one process would draw, if the ranks' generators are in step."""
    return _made("randn", lambda s: _t.randn(s, dtype=dtype), size, dtype, layout, requires_grad, device_mesh, placements, True)
