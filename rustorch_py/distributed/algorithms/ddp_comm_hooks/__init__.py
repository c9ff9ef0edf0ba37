"""Communication hooks for DistributedDataParallel: what happens to a bucket of gradients in place of a plain mean."""
from __future__ import annotations

import enum
from functools import partial

from . import default_hooks, powerSGD_hook, topk_hook

__all__ = ["DDPCommHookType", "default_hooks", "powerSGD_hook", "register_ddp_comm_hook", "topk_hook"]


class DDPCommHookType(enum.Enum):
    """The hooks by name, for `register_ddp_comm_hook`."""
    ALLREDUCE = partial(default_hooks.allreduce_hook)
    FP16_COMPRESS = partial(default_hooks.fp16_compress_hook)
    BF16_COMPRESS = partial(default_hooks.bf16_compress_hook)
    POWER_SGD = partial(powerSGD_hook.powerSGD_hook)
    TOP_K = partial(topk_hook.topk_hook)


def register_ddp_comm_hook(comm_hook_type, model, state=None):
    """Register a hook by its `DDPCommHookType`; state is a process group or the hook's state."""
    model.register_comm_hook(state, comm_hook_type.value)
