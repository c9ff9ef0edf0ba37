"""The frame shared by all methods that update one parameter from its own gradient and state.

A method says three things: what it remembers of a parameter (`_start`), how one parameter moves
(`_update`), and, if the ground floor has a loop for it, how a whole group moves in one pass
(`_fused`). The frame does the rest: closure, gradient mode, sparse and complex gradients, maximize.

Note [Options common to all methods]
    fused           None or True: the ground floor's loop takes every group that it can; True also
                    refuses parameters that are not floating point. False: one parameter at a time.
    foreach         kept for PyTorch's sake: True or None leave the choice to `fused`, False asks
                    for one parameter at a time. Numbers are the same.
    capturable      is about CUDA graphs: refused by `step` for parameters on the CPU.
    differentiable  the step is recorded. It then works on copies of the state, so that graphs of
                    earlier steps keep the values they saved.
"""
from __future__ import annotations

from .. import tensor as _t
from ..errors import CapturableError, IntOverflowError, TensorError, TensorTypeError, TensorValueError
from ..tensor import Tensor
from .optimizer import Optimizer

_CAPTURABLE_DEVICES = ("cuda",)
_FUSED_DEVICES = ("cpu", "cuda")


def scalar(x):
    """Return a number from a number or a one-element tensor."""
    return x.item() if isinstance(x, Tensor) else x


def needs_grad(*values):
    """Say whether an option is a tensor that wants a gradient (differentiable steps only)."""
    return any(isinstance(v, Tensor) and v.requires_grad for v in values)


def subtract_scaled(param, x, lr):
    """Move ``param`` by ``-lr * x``; ``lr`` may be a tensor that wants a gradient."""
    if needs_grad(lr):
        param.sub_(x * lr.squeeze())
    else:
        param.add_(x, alpha=-scalar(lr))


def subtract_quotient(param, a, b, lr):
    """Move ``param`` by ``-lr * a / b``; ``lr`` may be a tensor that wants a gradient."""
    if needs_grad(lr):
        param.sub_(a / b * lr.squeeze())
    else:
        param.addcdiv_(a, b, value=-scalar(lr))


def decay(p, grad, weight_decay):
    """Add an L2 penalty to the gradient, out of place."""
    if needs_grad(weight_decay):
        return grad + p.clone() * weight_decay
    weight_decay = scalar(weight_decay)
    return grad.add(p, alpha=weight_decay) if weight_decay != 0 else grad


def shrink(p, lr, weight_decay):
    """Shrink the parameter itself by ``1 - lr * weight_decay`` (decoupled decay)."""
    if needs_grad(lr, weight_decay):
        p.sub_(p.clone() * (lr * weight_decay))
    elif scalar(weight_decay) != 0:
        p.mul_(1 - scalar(lr) * scalar(weight_decay))


def scalar_dtype(fused=False):
    """Return the dtype of step counts."""
    return _t.float64 if not fused and _t.get_default_dtype() == _t.float64 else _t.float32


def step_counter(p, group, value=0.0):
    """Make the 0-dim tensor that counts a parameter's steps (on the CPU: reading it must be cheap)."""
    fused = bool(group.get("fused"))
    device = p.device if fused or group.get("capturable") else "cpu"
    return _t.full((), value, dtype=scalar_dtype(fused), device=device)


def zeros_of(p):
    """Make a state tensor of zeros beside a parameter, in its layout."""
    return _t.zeros_like(p, memory_format=_t.preserve_format, requires_grad=False)


def check_lr(lr):
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise TensorValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise TensorValueError(f"Invalid learning rate: {lr}")


def check_nonnegative(name, value):
    if not 0.0 <= value:
        raise TensorValueError(f"Invalid {name} value: {value}")


def check_eps(eps):
    if not 0.0 <= eps:
        raise TensorValueError(f"Invalid epsilon value: {eps}")


def check_betas(betas):
    for i in (0, 1):
        if not 0.0 <= betas[i] < 1.0:
            raise TensorValueError(f"Invalid beta parameter at index {i}: {betas[i]}")


def check_fused(fused, foreach, differentiable):
    if fused:
        if differentiable:
            raise TensorError("`fused` does not support `differentiable`")
        if foreach:
            raise TensorError("`fused` and `foreach` cannot be `True` together.")


class Method(Optimizer):
    """Frame of the per-parameter methods; see the module's notes."""

    # Options that state dicts of older files may lack, with what they meant then.
    _late_options = {"maximize": False, "foreach": None, "capturable": False, "differentiable": False}
    # Complex parameters are updated through their real view, except where the update is linear.
    _complex_as_real = True
    # Options that PyTorch's steps hand to operators, whose numbers are floats or ints of 64 bits: as `alpha`, which is no bool, and others.
    _alphas, _numbers = (), ()
    # Whether gradients may be sparse tensors, and what to say to who brings one all the same.
    _takes_sparse, _sparse_advice = False, ""

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._late_options.items():
                group.setdefault(name, value)
            for p in group["params"]:
                kept = self.state.get(p)
                if kept and "step" in kept and not isinstance(kept["step"], Tensor):
                    kept["step"] = step_counter(p, group, float(kept["step"]))

    def add_param_group(self, param_group):
        if isinstance(param_group, dict) and not param_group.get("fused", self.defaults.get("fused")):
            for name in (*self._alphas, *self._numbers):
                value = param_group.get(name, self.defaults[name])
                if value is True and name in self._alphas:
                    raise TensorError(f"Boolean alpha only supported for Boolean results: {type(self).__name__} expected a number for {name}, got True")
                if isinstance(value, int) and not -1 << 63 <= value < 1 << 63:
                    raise IntOverflowError(f"{type(self).__name__}: {name} {value} does not fit 64 bits")
        super().add_param_group(param_group)

    def _start(self, p, grad, group):
        """Return the state of a parameter that is updated for the first time."""
        raise NotImplementedError

    def _update(self, p, grad, state, group):
        """Move one parameter in place."""
        raise NotImplementedError

    def _fused(self, group):
        """Move a whole group in one pass of the ground floor; False if it cannot, and nothing has moved."""
        return False

    def step(self, closure=None):
        """Update every parameter that has a gradient, once.

        Args:
            closure: callable that evaluates the model again and returns the loss.

        Returns:
            What the closure returned, or None.
        """
        loss = None
        if closure is not None:
            with _t.enable_grad():
                loss = closure()
        recorded = self.defaults.get("differentiable", False)
        if recorded is not False and recorded is not True:
            raise TensorTypeError(f"{type(self).__name__}: differentiable must be bool, not {type(recorded).__name__}")
        for group in self.param_groups:
            if not (self._may_fuse(group) and self._fused(group)):
                with _t.set_grad_enabled(recorded):
                    self._step_group(group)
        return loss

    @staticmethod
    def _may_fuse(group):
        get = group.get
        if get("fused") is False or get("foreach") is False or get("differentiable"):
            return False
        return not get("capturable") or all([p.device.type in _CAPTURABLE_DEVICES for p in group["params"]])

    def _step_group(self, group):
        params, grads, states, began = [], [], [], False
        state = self.state
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            if grad.is_sparse and not self._takes_sparse:
                method = next(c.__name__ for c in type(self).__mro__ if "_update" in c.__dict__)
                raise TensorError(f"{method} does not support sparse gradients" + self._sparse_advice)
            kept = state.get(p)
            if not kept:
                self._check(p, grad, group)
                kept = self._start(p, grad, group)
                if kept:
                    state[p] = kept
                    began = True
            params.append(p)
            grads.append(grad)
            states.append(kept)
        if not params:
            return
        if group.get("differentiable"):
            self._step_recorded(group, params, grads, states)
            return
        if group.get("capturable"):
            self._check_capturable(params)
        if group.get("fused"):
            self._check_fusable(params)
        # On a device the first step goes by the same kernel as all others: composed, it would have a dozen compiled for itself.
        if began and params[0].device.type != "cpu" and self._may_fuse(group) and self._fused(group):
            return
        maximize = group.get("maximize")
        for p, grad, kept in zip(params, grads, states):
            if maximize:
                grad = -grad
            if self._complex_as_real and p.is_complex():
                p, grad = _t.view_as_real(p), _t.view_as_real(grad)
                kept = {k: _t.view_as_real(v) if isinstance(v, Tensor) and v.is_complex() else v
                        for k, v in kept.items()}
            self._update(p, grad, kept, group)

    def _step_recorded(self, group, params, grads, states):
        for p, grad, kept in zip(params, grads, states):
            if "step" in kept and kept["step"].requires_grad:
                raise TensorError("`requires_grad` is not supported for `step` in differentiable mode")
            for key, value in kept.items():
                if isinstance(value, Tensor) and key != "step":
                    kept[key] = value.clone()
            if group.get("maximize"):
                grad = -grad
            work = kept
            if self._complex_as_real and p.is_complex():
                p, grad = _t.view_as_real(p), _t.view_as_real(grad)
                work = {k: _t.view_as_real(v) if isinstance(v, Tensor) and v.is_complex() else v
                        for k, v in kept.items()}
            self._update(p, grad, work, group)

    def _check(self, p, grad, group):
        if group.get("fused"):
            self._check_fusable([p])

    def _check_fusable(self, params):
        for p in params:
            if not (p.is_floating_point() and p.device.type in _FUSED_DEVICES):
                raise TensorError("`fused=True` requires all the params to be floating point Tensors of supported "
                                  f"devices: {list(_FUSED_DEVICES)} but {p.dtype} and {p.device.type}")

    def _check_capturable(self, params):
        for p in params:
            if p.device.type not in _CAPTURABLE_DEVICES:
                raise CapturableError(f"{type(self).__name__}: capturable=True is for parameters on "
                                  f"{', '.join(_CAPTURABLE_DEVICES)}, but one is on {p.device}; "
                                  "leave capturable False")
