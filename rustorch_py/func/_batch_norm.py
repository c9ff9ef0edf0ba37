"""Batch norm under `vmap`: statistics that a call would write have no place in a function."""


def replace_all_batch_norm_modules_(root):
    """Take the running statistics from every batch norm of a module, in place, so that each call uses its own batch; return the module.

    Args:
        root: a module.
    """
    from ..nn.modules.batchnorm import _BatchNorm
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return root
