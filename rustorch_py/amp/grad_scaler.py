"""Loss scaling: gradients of float16 stay in range by a factor that adapts itself.

Source: Micikevicius et al. (2018), Mixed precision training, section 3.2.
"""
from __future__ import annotations

import enum
import warnings
from collections import defaultdict

from .. import tensor as _t
from ..errors import AutogradError
from ..tensor._backend import is_registered
from ..tensor._devices import run

__all__ = ["GradScaler", "OptState"]


class OptState(enum.Enum):
    """Where an optimizer stands since the last update of the scale."""
    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh():
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Multiply the loss before backward, divide the gradients after it, and leave out steps with infinities.

    Args:
        device: type of device that the scale lives on; "cuda" disables the scaler with a warning where there is no CUDA.
        init_scale: first factor.
        growth_factor: what the scale is multiplied by after ``growth_interval`` steps in a row without infinity or NaN.
        backoff_factor: what it is multiplied by when a step found one.
        growth_interval: number of such steps.
        enabled: False makes every method pass things through.

    Example:
        >>> scaler = torch.amp.GradScaler("cpu")
        >>> with torch.autocast("cpu", dtype=torch.float16):
        ...     loss = criterion(model(x), y)
        >>> scaler.scale(loss).backward()
        >>> scaler.step(optimizer)
        >>> scaler.update()
    """

    def __init__(self, device="cuda", init_scale=2.0 ** 16, growth_factor=2.0, backoff_factor=0.5, growth_interval=2000, enabled=True):
        self._device = device
        self._enabled = enabled
        if enabled and device == "cuda" and not is_registered(1):
            warnings.warn("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.", stacklevel=2)
            self._enabled = False
        if not self._enabled:
            return
        if growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale = init_scale
        self._init_growth_tracker = 0
        self._scale = self._growth_tracker = None          # made on the device of the first loss
        self._growth_factor, self._backoff_factor, self._growth_interval = growth_factor, backoff_factor, growth_interval
        self._per_optimizer_states = defaultdict(_fresh)

    def _ready(self, name):
        if self._scale is None:
            raise AssertionError(f"Attempted {name} but _scale is None.  This may indicate your script did not use "
                                 "scaler.scale(loss or outputs) earlier in the iteration.")

    # ---- one iteration ----
    def scale(self, outputs):
        """Return a tensor, or a container of tensors, multiplied by the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, _t.Tensor):
            if self._scale is None:
                self._scale = _t.full((), self._init_scale, dtype=_t.float32, device=outputs.device)
                self._growth_tracker = _t.full((), self._init_growth_tracker, dtype=_t.int32, device=outputs.device)
            return outputs * self._scale.to(outputs.device)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(x) for x in outputs)
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _unscale_grads_(self, optimizer, inv_scale, allow_fp16):
        """Multiply an optimizer's gradients by ``inv_scale``, a float64 0-dim tensor; return, by device, a tensor that is 1 where one is not
        finite. A device's gradients are not waited for: one launch a dtype looks at them."""
        found, lists = {}, defaultdict(list)
        with _t.no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    grad = parameter.grad
                    if grad is None:
                        continue
                    if grad.dtype == _t.float16 and not allow_fp16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    if getattr(grad, "is_sparse", False):
                        if grad.dtype == _t.float16:
                            # entries of one place are added, which may overflow: only the sum shows it
                            parameter.grad = grad = grad.coalesce()
                        grad = grad._values()
                    device = grad.device
                    if device not in found:
                        found[device] = _t.zeros((), dtype=_t.float32, device=device)
                    lists[device, grad.dtype].append(grad)
            for (device, _), grads in lists.items():
                if device.type == "cpu":
                    factor = inv_scale.item()
                    for grad in grads:
                        if not bool(_t.isfinite(grad).all()):
                            found[device].fill_(1.0)
                        if factor != 1.0:
                            grad.mul_(factor)
                    continue
                factor = inv_scale.to(device)
                if not _t._fused_unscale(grads, found[device], factor):
                    for grad in grads:
                        found[device].copy_(_t.maximum(found[device], (~_t.isfinite(grad).all()).float()))
                        grad.mul_(factor)
        return found

    def unscale_(self, optimizer):
        """Divide an optimizer's gradients by the scale, for clipping before `step`; once an iteration."""
        if not self._enabled:
            return
        self._ready("unscale_")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise AutogradError("unscale_() has already been called on this optimizer since the last update().", op="unscale_")
        if state["stage"] is OptState.STEPPED:
            raise AutogradError("unscale_() is being called after step().", op="unscale_")
        inverse = self._scale.double().reciprocal().float().double() if self._scale.device.type == "cpu" else run("inverse_scale", self._scale)
        state["found_inf_per_device"] = self._unscale_grads_(optimizer, inverse, False)
        state["stage"] = OptState.UNSCALED

    def step(self, optimizer, *args, **kwargs):
        """Unscale unless done, then make the optimizer's step unless a gradient is infinite or NaN; return what it returns."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise AutogradError("Closure use is not currently supported if GradScaler is enabled.", op="step")
        self._ready("step")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise AutogradError("step() has already been called since the last update().", op="step")
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            # such an optimizer divides by itself: it is told the scale and whether a gradient is infinite
            if state["stage"] is OptState.READY:
                self._check_inf_per_device(optimizer)
                optimizer.grad_scale = self._scale
            else:
                optimizer.grad_scale = None
            optimizer.found_inf = sum(f.to(self._scale.device) for f in state["found_inf_per_device"].values())
            try:
                result = optimizer.step(*args, **kwargs)
            finally:
                del optimizer.grad_scale, optimizer.found_inf
            state["stage"] = OptState.STEPPED
            return result
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        if not state["found_inf_per_device"]:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None
        if not any(f.item() for f in state["found_inf_per_device"].values()):
            result = optimizer.step(*args, **kwargs)
        state["stage"] = OptState.STEPPED
        return result

    def update(self, new_scale=None):
        """Adapt the scale at the end of an iteration, or set it.

        Args:
            new_scale: float, or float32 tensor of one element.
        """
        if not self._enabled:
            return
        self._ready("update")
        if new_scale is not None:
            if isinstance(new_scale, (int, float)):
                self._scale.fill_(new_scale)
            else:
                if new_scale.device.type != self._device or new_scale.numel() != 1 or new_scale.requires_grad:
                    raise AssertionError("new_scale should be a float or a 1-element torch.cuda.FloatTensor or torch.FloatTensor with "
                                         "requires_grad=False.")
                self._scale.copy_(new_scale.reshape(()))
        else:
            found = [f for state in self._per_optimizer_states.values() for f in state["found_inf_per_device"].values()]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            if self._scale.device.type == "cpu":
                self._adapt(any(f.item() for f in found))
            else:
                overflowed = found[0].to(self._scale.device)
                for other in found[1:]:
                    overflowed = _t.maximum(overflowed, other.to(overflowed.device))
                run("update_scale", self._scale, self._growth_tracker, overflowed, self._growth_factor, self._backoff_factor, self._growth_interval)
        self._per_optimizer_states = defaultdict(_fresh)

    def _adapt(self, overflowed):
        if overflowed:
            self._scale.mul_(self._backoff_factor)
            self._growth_tracker.zero_()
            return
        self._growth_tracker.add_(1)
        if self._growth_tracker.item() == self._growth_interval:
            grown = self._scale * self._growth_factor
            if bool(_t.isfinite(grown)):
                self._scale.copy_(grown)
            self._growth_tracker.zero_()

    def _check_inf_per_device(self, optimizer):
        self._ready("_check_inf_per_device")
        found = self._unscale_grads_(optimizer, _t.ones((), dtype=_t.float64), True)
        self._per_optimizer_states[id(optimizer)]["found_inf_per_device"] = found
        return found

    def _found_inf_per_device(self, optimizer):
        return self._per_optimizer_states[id(optimizer)]["found_inf_per_device"]

    # ---- settings and state ----
    def is_enabled(self):
        """Tell whether gradients are scaled."""
        return self._enabled

    def get_scale(self):
        """Return the scale as a float; 1.0 when disabled."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self):
        """Return the factor of growth."""
        return self._growth_factor

    def set_growth_factor(self, new_factor):
        """Set the factor of growth."""
        self._growth_factor = new_factor

    def get_backoff_factor(self):
        """Return the factor after an infinite gradient."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor):
        """Set the factor after an infinite gradient."""
        self._backoff_factor = new_factor

    def get_growth_interval(self):
        """Return how many good steps make the scale grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval):
        """Set how many good steps make the scale grow."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self):
        if not self._enabled:
            return 0
        return self._init_growth_tracker if self._growth_tracker is None else self._growth_tracker.item()

    def state_dict(self):
        """Return scale, factors, interval and the count of good steps; empty when disabled."""
        if not self._enabled:
            return {}
        return {"scale": self.get_scale(), "growth_factor": self._growth_factor, "backoff_factor": self._backoff_factor,
                "growth_interval": self._growth_interval, "_growth_tracker": self._get_growth_tracker()}

    def load_state_dict(self, state_dict):
        """Take over what `state_dict` returned."""
        if not self._enabled:
            return
        if not state_dict:
            raise AutogradError("The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler.",
                                op="load_state_dict")
        self._init_scale, self._init_growth_tracker = state_dict["scale"], state_dict["_growth_tracker"]
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        if self._scale is not None:
            self._scale.fill_(self._init_scale)
            self._growth_tracker.fill_(self._init_growth_tracker)

    def __getstate__(self):
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                raise AssertionError("A GradScaler instance may only be pickled at the beginning of an iteration, or at the end after "
                                     "scaler.update().")
            state.update(_init_scale=self.get_scale(), _init_growth_tracker=self._get_growth_tracker(), _scale=None, _growth_tracker=None)
        return state
