"""Function transforms (``torch.func``): derivatives of functions, and functions mapped over a batch.

Each transform takes a function and returns one, so that they nest: ``vmap(grad(loss))`` is the gradient of every
sample, ``jacfwd(jacrev(f))`` a matrix of second derivatives. Functions take and return nested containers of tensors.
"""
from ._batch_norm import replace_all_batch_norm_modules_
from ._call import functional_call, stack_module_state
from ._jacobian import hessian, jacfwd, jacrev
from ._transforms import functionalize, grad, grad_and_value, jvp, linearize, vjp
from ._vmap import vmap

__all__ = ["functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
           "replace_all_batch_norm_modules_", "stack_module_state", "vjp", "vmap"]
