"""L-BFGS: quasi-Newton steps from the last few gradients."""
from __future__ import annotations

import sys
from operator import index

from .. import tensor as _t
from ..errors import IntOverflowError, TensorError, TensorValueError
from ._method import check_lr, scalar
from .optimizer import Optimizer

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """Minimise a smooth function of all parameters by limited-memory BFGS.

    It needs a closure that computes the loss anew, keeps ``history_size`` pairs of vectors as
    long as all parameters together, and takes one parameter group.

    Args:
        params: parameters, named parameters or one parameter group.
        lr: length of the steps, a number or a one-element tensor.
        max_iter: iterations of one step.
        max_eval: evaluations of one step; None: a quarter more than ``max_iter``.
        tolerance_grad: stop when no element of the gradient is larger.
        tolerance_change: stop when loss or parameters change less.
        history_size: pairs of vectors that are remembered.
        line_search_fn: None, or ``"strong_wolfe"`` to search the length of each step.

    Example:
        >>> optimizer = LBFGS(model.parameters(), line_search_fn="strong_wolfe")     # doctest: +SKIP
        >>> def closure():                                                           # doctest: +SKIP
        ...     optimizer.zero_grad(); loss = loss_fn(model(x), y); loss.backward(); return loss
        >>> optimizer.step(closure)                                                  # doctest: +SKIP

    Source:
        Nocedal and Wright, Numerical optimization, 2006, algorithms 7.4 and 3.5.
    """

    def __init__(self, params, lr=1, max_iter=20, max_eval=None, tolerance_grad=1e-7, tolerance_change=1e-9,
                 history_size=100, line_search_fn=None):
        check_lr(lr)
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        super().__init__(params, dict(lr=lr, max_iter=max_iter, max_eval=max_eval, tolerance_grad=tolerance_grad,
                                      tolerance_change=tolerance_change, history_size=history_size,
                                      line_search_fn=line_search_fn))
        if len(self.param_groups) != 1:
            raise TensorValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def __setstate__(self, state):
        super().__setstate__(state)
        self._params = self.param_groups[0]["params"]

    # -- all parameters as one vector ---------------------------------------------------------------

    def _flat_grad(self):
        parts = []
        for p in self._params:
            grad = _t.zeros_like(p) if p.grad is None else p.grad
            if grad.is_sparse:
                grad = grad.to_dense()
            if grad.is_complex():
                grad = _t.view_as_real(grad)
            parts.append(grad.reshape(-1))
        return _t.cat(parts, 0)

    def _move(self, length, direction):
        offset = 0
        for p in self._params:
            if p.is_complex():
                p = _t.view_as_real(p)
            n = p.numel()
            p.add_(direction[offset:offset + n].view_as(p), alpha=scalar(length))
            offset += n

    def _evaluate_at(self, closure, start, length, direction):
        """Return loss and gradient at ``start + length * direction``, and go back."""
        self._move(length, direction)
        loss = float(closure())
        grad = self._flat_grad()
        for p, value in zip(self._params, start):
            p.copy_(value)
        return loss, grad

    # -- the step ---------------------------------------------------------------------------------

    def step(self, closure):
        """Run up to ``max_iter`` iterations.

        Args:
            closure: callable that clears the gradients, computes the loss, calls backward and
                returns the loss.

        Returns:
            The loss before the step.
        """
        with _t.no_grad():
            return self._step(closure)

    def _step(self, closure):
        def evaluate():
            with _t.enable_grad():
                return closure()

        group = self.param_groups[0]
        lr = scalar(group["lr"])
        max_iter, max_eval = group["max_iter"], group["max_eval"]
        tolerance_grad, tolerance_change = group["tolerance_grad"], group["tolerance_change"]
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise TensorError("only 'strong_wolfe' is supported", op="LBFGS.step")

        state = self.state[self._params[0]]      # the vectors span all parameters: kept with the first
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = evaluate()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        grad = self._flat_grad()
        if grad.abs().max() <= tolerance_grad:
            return first_loss

        d, t = state.get("d"), state.get("t")
        previous_grad, previous_loss = state.get("prev_flat_grad"), state.get("prev_loss")
        for iteration in range(1, max_iter + 1):
            state["n_iter"] += 1
            history_size = index(group["history_size"])
            if history_size > sys.maxsize:
                raise IntOverflowError(f"LBFGS: no list has room for history_size={history_size} pairs")
            d = self._direction(state, grad, previous_grad, d, t, history_size)
            if previous_grad is None:
                previous_grad = grad.clone()
            else:
                previous_grad.copy_(grad)
            previous_loss = loss

            t = min(1.0, 1.0 / grad.abs().sum()) * lr if state["n_iter"] == 1 else lr
            slope = grad.dot(d)
            if slope > -tolerance_change:
                break
            if search is not None:
                start = [p.clone() for p in self._params]

                def along(length):
                    return self._evaluate_at(evaluate, start, length, d)

                loss, grad, t, used = strong_wolfe(along, t, d, loss, grad, slope, max_ls=max_eval - evaluations)
                self._move(t, d)
                flat = grad.abs().max() <= tolerance_grad
            else:
                self._move(t, d)
                flat, used = False, 0
                if iteration != max_iter:      # the last iteration's loss would never be looked at
                    loss = float(evaluate())
                    grad = self._flat_grad()
                    flat, used = grad.abs().max() <= tolerance_grad, 1
            evaluations += used
            state["func_evals"] += used
            if (evaluations >= max_eval or flat or d.mul(t).abs().max() <= tolerance_change
                    or abs(loss - previous_loss) < tolerance_change):
                break
        state.update(d=d, t=t, prev_flat_grad=previous_grad, prev_loss=previous_loss)
        return first_loss

    @staticmethod
    def _direction(state, grad, previous_grad, d, t, history_size):
        """Return minus the inverse Hessian estimate times the gradient (two-loop recursion)."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return grad.neg()
        ys_, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y = grad.sub(previous_grad)
        s = d.mul(t)
        curvature = y.dot(s)
        if curvature > 1e-10:      # keep only pairs that leave the estimate positive definite
            if len(ys_) == history_size:
                for kept in (ys_, steps, ro):
                    kept.pop(0)
            ys_.append(y)
            steps.append(s)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / y.dot(y)
        q = grad.neg()
        weights = state.setdefault("al", [None] * history_size)
        for i in range(len(ys_) - 1, -1, -1):
            weights[i] = steps[i].dot(q) * ro[i]
            q.add_(ys_[i], alpha=-scalar(weights[i]))
        r = _t.mul(q, state["H_diag"])
        for i in range(len(ys_)):
            r.add_(steps[i], alpha=scalar(weights[i] - ys_[i].dot(r) * ro[i]))
        return r


def cubic_minimum(x1, f1, g1, x2, f2, g2, bounds=None):
    """Return the minimum of the cubic through two points with given values and slopes, kept in bounds."""
    low, high = bounds if bounds is not None else ((x1, x2) if x1 <= x2 else (x2, x1))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 ** 2 - g1 * g2
    if square < 0:
        return (low + high) / 2.0
    d2 = square.sqrt()
    if x1 <= x2:
        at = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        at = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(at, low), high)


class _Trial:
    """One tried length of a step: loss, gradient and slope there."""

    __slots__ = ("t", "f", "g", "slope")

    def __init__(self, t, f, g, slope):
        self.t, self.f, self.g, self.slope = t, f, g, slope


def strong_wolfe(along, t, d, f, g, slope, c1=1e-4, c2=0.9, tolerance_change=1e-9, max_ls=25):
    """Search a step length that satisfies the strong Wolfe conditions.

    Args:
        along: function from a length to (loss, gradient) there.
        t: first length to try.
        d: direction.
        f, g, slope: loss, gradient and slope along ``d`` at length 0.
        c1, c2: constants of the two conditions.
        tolerance_change: stop when the bracket is shorter.
        max_ls: trials.

    Returns:
        loss, gradient, length, number of evaluations.
    """
    longest = d.abs().max()

    def try_length(t):
        f_new, g_new = along(t)
        return _Trial(t, f_new, g_new, g_new.dot(d))

    def too_high(trial):
        return trial.f > f + c1 * trial.t * slope

    start = _Trial(0, f, g.clone(), slope)
    previous, new = start, try_length(t)
    evaluations, trials = 1, 0
    bracket, done = None, False
    # Bracket: lengthen the step until a minimum lies between two trials.
    while trials < max_ls:
        if too_high(new) or (trials > 1 and new.f >= previous.f):
            bracket = [previous, new]
            break
        if abs(new.slope) <= -c2 * slope:
            bracket, done = [new], True
            break
        if new.slope >= 0:
            bracket = [previous, new]
            break
        bounds = (new.t + 0.01 * (new.t - previous.t), new.t * 10)
        t = cubic_minimum(previous.t, previous.f, previous.slope, new.t, new.f, new.slope, bounds)
        previous, new = new, try_length(t)
        evaluations += 1
        trials += 1
    if bracket is None:
        bracket = [start, new]

    # Zoom: shrink the bracket around the minimum.
    stuck = False
    low, high = (0, 1) if bracket[0].f <= bracket[-1].f else (1, 0)
    while not done and trials < max_ls:
        a, b = bracket
        if abs(b.t - a.t) * longest < tolerance_change:
            break
        t = cubic_minimum(a.t, a.f, a.slope, b.t, b.f, b.slope)
        left, right = min(a.t, b.t), max(a.t, b.t)
        # A trial too near an end makes too little progress: twice in a row, or at the very end,
        # it is moved a tenth into the bracket.
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        new = try_length(t)
        evaluations += 1
        trials += 1
        if too_high(new) or new.f >= bracket[low].f:
            bracket[high] = new
            low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
        else:
            if abs(new.slope) <= -c2 * slope:
                done = True
            elif new.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
    best = bracket[low]
    return best.f, best.g, best.t, evaluations
