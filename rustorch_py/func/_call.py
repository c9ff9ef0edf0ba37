"""Modules as functions of their parameters."""
from .. import tensor as _t


def functional_call(module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """Call a module with the given tensors in place of its own parameters and buffers.

    Args:
        module: the module.
        parameter_and_buffer_dicts: mapping from dotted name to tensor, or a tuple of such mappings.
        args: forward's argument, or a tuple of them.
        kwargs: forward's keyword arguments.
        tie_weights: names that share one tensor in the module share the given one too.
        strict: raise unless exactly the module's names are given.
    """
    from ..nn.utils import stateless

    return stateless.call_with(module, parameter_and_buffer_dicts, args, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models):
    """Return (parameters, buffers): dictionaries of the tensors of several like modules, stacked in dimension 0.

    Args:
        models: modules of one class, all in training mode or all not. Stacked parameters are leaves, and require a
            gradient where the modules' own do.
    Raises:
        RuntimeError: no module, or modules of different kinds.
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if not all(type(m) is type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(dicts, leaves):
        out = {}
        for name in dicts[0]:
            tensors = tuple(d[name] for d in dicts)
            wants = {t.requires_grad for t in tensors}
            if len(wants) > 1:
                raise RuntimeError(f"Expected {name!r} from each model to have the same .requires_grad")
            out[name] = _t.stack(tensors).detach().requires_grad_(wants.pop()) if leaves else _t.stack(tensors)
        return out
    return stacked([dict(m.named_parameters()) for m in models], True), stacked([dict(m.named_buffers()) for m in models], False)
