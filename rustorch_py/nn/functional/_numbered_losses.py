"""The losses at PyTorch's top level: those of `nn.functional` with the reduction by number: 0 none (also where it is not given), 1 mean, 2 sum."""
from ...errors import TensorValueError
from . import _loss

_NAMES = ("none", "mean", "sum")


def _name(op, reduction):
    if type(reduction) is not int or not 0 <= reduction < 3:
        raise TensorValueError(f"{op}: expected reduction 0 (none), 1 (mean) or 2 (sum), got {reduction!r}", op=op)
    return _NAMES[reduction]


def binary_cross_entropy_with_logits(input, target, weight=None, pos_weight=None, reduction=0):
    """Return `nn.functional.binary_cross_entropy_with_logits`."""
    return _loss.binary_cross_entropy_with_logits(input, target, weight, reduction=_name("binary_cross_entropy_with_logits", reduction), pos_weight=pos_weight)


def cosine_embedding_loss(input1, input2, target, margin=0.0, reduction=0):
    """Return `nn.functional.cosine_embedding_loss`."""
    return _loss.cosine_embedding_loss(input1, input2, target, margin, reduction=_name("cosine_embedding_loss", reduction))


def hinge_embedding_loss(input, target, margin=1.0, reduction=0):
    """Return `nn.functional.hinge_embedding_loss`."""
    return _loss.hinge_embedding_loss(input, target, margin, reduction=_name("hinge_embedding_loss", reduction))


def kl_div(input, target, reduction=0, *, log_target=False):
    """Return `nn.functional.kl_div`; the mean is over all elements."""
    out = _loss.kl_div(input, target, reduction="none", log_target=log_target)
    name = _name("kl_div", reduction)
    return out if name == "none" else out.mean() if name == "mean" else out.sum()


def margin_ranking_loss(input1, input2, target, margin=0.0, reduction=0):
    """Return `nn.functional.margin_ranking_loss`."""
    return _loss.margin_ranking_loss(input1, input2, target, margin, reduction=_name("margin_ranking_loss", reduction))


def poisson_nll_loss(input, target, log_input, full, eps, reduction):
    """Return `nn.functional.poisson_nll_loss`."""
    return _loss.poisson_nll_loss(input, target, log_input, full, None, eps, reduction=_name("poisson_nll_loss", reduction))


def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2, eps=1e-06, swap=False, reduction=0):
    """Return `nn.functional.triplet_margin_loss`."""
    return _loss.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=_name("triplet_margin_loss", reduction))
