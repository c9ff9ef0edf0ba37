"""Numerical checks of first and second derivatives."""
from .. import tensor as _t
from ..errors import AutogradError
from ._engine import grad as _grad


class GradcheckError(AutogradError):
    """Analytical and numerical gradients differ, or the function cannot be checked."""


def _tensors(values):
    return [v for v in values if isinstance(v, _t.Tensor)]


def _outputs(result):
    outs = [result] if isinstance(result, _t.Tensor) else [r for r in result if isinstance(r, _t.Tensor)]
    return [o for o in outs if o.is_floating_point() or o.is_complex()]


def _flat_numbers(t):
    """Elements of a real or complex tensor as Python numbers, row-major."""
    return t.detach().contiguous().reshape(-1).tolist()


def _numerical(fn, inputs, x, out_index, eps):
    """Columns d out / d x[j] by central differences; complex x is moved along the real and the imaginary axis."""
    data = x.data
    flat = data.reshape(-1) if data.is_contiguous() else None
    columns = []
    for j in range(x.numel()):
        index = []
        rest = j
        for s in reversed(x.shape):
            index.append(rest % s)
            rest //= s
        key = tuple(reversed(index))

        def put(value):
            if flat is not None:
                flat[j] = value
            else:
                data[key] = value

        old = (flat[j] if flat is not None else data[key]).item()
        steps = [eps] + ([eps * 1j] if x.is_complex() else [])
        parts = []
        for h in steps:
            with _t.no_grad():
                put(old + h)
                up = _flat_numbers(_outputs(fn(*inputs))[out_index].clone())
                put(old - h)
                down = _flat_numbers(_outputs(fn(*inputs))[out_index].clone())
                put(old)
            parts.append([(a - b) / (2 * eps) for a, b in zip(up, down)])
        columns.append(parts)
    return columns


def _analytical(out, inputs, k, create_graph=False):
    """Rows d out[k] / d inputs as gradients of the k-th element (real and, for complex outputs, imaginary part)."""
    rows = []
    for weight in ([1.0, 1j] if out.is_complex() else [1.0]):
        g = _t.zeros_like(out).contiguous()
        g.view(-1)[k] = weight
        rows.append(_grad(out, inputs, g.reshape(out.shape), retain_graph=True, allow_unused=True))
    return rows


def _close(a, b, atol, rtol):
    if a != a or b != b:
        return a != a and b != b
    return abs(a - b) <= atol + rtol * abs(b)


def gradcheck(func, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, raise_exception=True, nondet_tol=0.0, check_undefined_grad=True,
              check_grad_dtypes=False, check_batched_grad=False, check_batched_forward_grad=False, check_forward_ad=False,
              check_backward_ad=True, fast_mode=False, masked=None):
    """Compare gradients of ``func(*inputs)`` with central differences, element by element.

    Args:
        inputs: tensors (float64 or complex128 for those that require gradients) and other arguments.
        eps: step of the differences.
        atol, rtol: tolerances.
        raise_exception: raise instead of returning False.
        nondet_tol: how far two backwards may differ.
        check_undefined_grad: also feed None gradients to functions of several outputs.
        fast_mode: compare along one random direction per pair instead of every element.
    Returns:
        True when all agree.
    Raises:
        GradcheckError: which entry differs, and by how much.
    """
    if check_forward_ad or check_batched_forward_grad:
        raise GradcheckError("gradcheck: forward-mode derivatives are not available; leave check_forward_ad=False")
    try:
        return _check(func, inputs, eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, check_batched_grad, fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False


def _check(func, inputs, eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, check_batched_grad, fast_mode):
    inputs = (inputs,) if isinstance(inputs, _t.Tensor) else tuple(inputs)
    diff = [x for x in _tensors(inputs) if x.requires_grad]
    if not diff:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.")
    for x in diff:
        if x.dtype not in (_t.float64, _t.complex128):
            import warnings
            warnings.warn(f"gradcheck: an input that requires gradient has dtype {x.dtype}; this check will likely fail if it is not of double "
                          "precision floating point or complex.", stacklevel=3)
        x.retain_grad()
    outs = _outputs(func(*inputs))
    outs = [o for o in outs if o.requires_grad]
    if not outs:
        numeric = [_numerical(func, inputs, x, i, eps) for i in range(len(_outputs(func(*inputs)))) for x in diff]
        if any(v != 0 for cols in numeric for parts in cols for p in parts for v in p):
            raise GradcheckError("Numerical gradient for function expected to be zero")
        return True
    all_outs = _outputs(func(*inputs))
    for oi, out in enumerate(all_outs):
        if not out.requires_grad:
            continue
        numeric = [_numerical(func, inputs, x, oi, eps) for x in diff]
        for k in range(out.numel()):
            rows = _analytical(out, diff, k)
            again = _analytical(out, diff, k)
            for part, (row, row2) in enumerate(zip(rows, again)):
                for xi, x in enumerate(diff):
                    g = row[xi]
                    if g is not None and check_grad_dtypes and g.dtype != x.dtype:
                        raise GradcheckError(f"Gradient has dtype mismatch: input {xi} is {x.dtype}, its gradient {g.dtype}")
                    if g is not None and g.shape != x.shape:
                        raise GradcheckError(f"grad is incorrect size: input {xi} has {tuple(x.shape)}, its gradient {tuple(g.shape)}")
                    values = [0.0] * x.numel() if g is None else _flat_numbers(g)
                    repeat = values if row2[xi] is None else _flat_numbers(row2[xi])
                    for j, v in enumerate(values):
                        if abs(v - repeat[j]) > nondet_tol:
                            raise GradcheckError(f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple "
                                                 f"times gives different values: {v} and {repeat[j]}")
                        want = _expected(numeric[xi][j], k, out.is_complex(), part, x.is_complex())
                        if not _close(v, want, atol, rtol):
                            raise GradcheckError(f"Jacobian mismatch for output {oi} with respect to input {xi}: d out[{k}] / d in[{j}]: "
                                                 f"numerical {want}, analytical {v}")
    if check_undefined_grad and len(outs) > 1:
        for o in outs:
            _grad(o, diff, _t.ones_like(o), retain_graph=True, allow_unused=True)
    if check_batched_grad:
        for o in outs:
            batch = _t.stack([_t.ones_like(o), _t.ones_like(o) * 2])
            both = _grad(o, diff, batch, retain_graph=True, allow_unused=True, is_grads_batched=True)
            one = _grad(o, diff, _t.ones_like(o), retain_graph=True, allow_unused=True)
            for b, s in zip(both, one):
                if b is not None and max((abs(v) for v in _flat_numbers(b[0] - s)), default=0) > atol:
                    raise GradcheckError("gradcheck or gradgradcheck failed while testing batched gradient computation")
    return True


def _expected(parts, k, out_complex, part, in_complex):
    """Gradient that backward must give for the k-th output element, from its differences along the axes."""
    def real_part(d):
        # part 0: the real part of the output was seeded; part 1 (weight i): its imaginary part
        if not out_complex:
            return d.real if isinstance(d, complex) else d
        return d.real if part == 0 else d.imag
    along_real = real_part(complex(parts[0][k]) if out_complex else parts[0][k])
    if not in_complex:
        return along_real
    return complex(along_real, real_part(complex(parts[1][k]) if out_complex else parts[1][k]))


def gradgradcheck(func, inputs, grad_outputs=None, *, eps=1e-6, atol=1e-5, rtol=1e-3, gen_non_contig_grad_outputs=False, raise_exception=True,
                  nondet_tol=0.0, check_undefined_grad=True, check_grad_dtypes=False, check_batched_grad=False, check_fwd_over_rev=False,
                  check_rev_over_rev=True, fast_mode=False, masked=False):
    """Check second derivatives: gradcheck of the function that returns the gradients of ``func``."""
    if check_fwd_over_rev:
        raise GradcheckError("gradgradcheck: forward-mode derivatives are not available; leave check_fwd_over_rev=False")
    inputs = (inputs,) if isinstance(inputs, _t.Tensor) else tuple(inputs)
    outs = [o for o in _outputs(func(*inputs)) if o.requires_grad]
    if grad_outputs is None:
        grads = []
        for o in outs:
            g = _t.randn(o.shape, dtype=_t.float64 if not o.is_complex() else _t.complex128).to(o.device)
            if gen_non_contig_grad_outputs and g.ndim:
                g = _t.stack([g, g], -1).select(-1, 0)
            grads.append(g.detach().requires_grad_())
    else:
        grads = [grad_outputs] if isinstance(grad_outputs, _t.Tensor) else list(grad_outputs)
    n = len(grads)

    def first(*args):
        ins, gs = args[:-n], args[-n:]
        wanted = [x for x in _tensors(ins) if x.requires_grad]
        with _t.enable_grad():            # the numerical side runs without
            got = _grad([o for o in _outputs(func(*ins)) if o.requires_grad], wanted, list(gs), create_graph=True, allow_unused=True)
        return tuple(g for g in got if g is not None)

    return gradcheck(first, (*inputs, *grads), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol,
                     check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes, check_batched_grad=check_batched_grad)
