"""Records of event files, as `SummaryWriter` writes them; tensors are taken where arrays are."""
from functools import wraps

from tensorboardX import summary as _summary

from . import _to_numpy

__all__ = ["audio", "histogram", "hparams", "image", "pr_curve", "scalar", "text", "video"]


def _taking_tensors(fn):
    @wraps(fn)
    def record(*args, **kwargs):
        return fn(*(_to_numpy(a) for a in args), **{k: _to_numpy(v) for k, v in kwargs.items()})
    return record


audio, histogram, hparams, image, pr_curve, scalar, text, video = (_taking_tensors(getattr(_summary, _name)) for _name in __all__)
