"""Adaptive softmax."""

from __future__ import annotations

from collections import namedtuple

from ...errors import ShapeError, TensorError
from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Classify many classes, frequent ones first, rare ones in clusters with narrower layers.

    Args:
        in_features: size of the input's last dimension.
        n_classes: number of classes, sorted by falling frequency.
        cutoffs: first class of each cluster.
        div_value: factor by which each cluster's layer is narrower than the one before.
        head_bias: learn an offset in the head.

    Source: Grave et al. (2017), Efficient softmax approximation for GPUs.
    """

    def __init__(self, in_features, n_classes, cutoffs, div_value=4.0, head_bias=False, device=None, dtype=None):
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(set(cutoffs))
            or min(cutoffs) <= 0
            or max(cutoffs) > n_classes - 1
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, "
                "where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, device=device, dtype=dtype),
                    Linear(width, size, bias=False, device=device, dtype=dtype),
                )
            )

    def reset_parameters(self):
        """Draw all weights anew."""
        self.head.reset_parameters()
        for inner, outer in self.tail:
            inner.reset_parameters()
            outer.reset_parameters()

    def forward(self, input_, target_):
        """Return the targets' log probabilities and minus their mean.

        Args:
            input_: (N, features) or (features).
            target_: classes, (N) or ().
        """
        if target_.dim() > 1:
            raise TensorError("0D or 1D target tensor expected, multi-target not supported")
        batched = target_.dim() == 1
        if input_.dim() != target_.dim() + 1:
            raise ShapeError(
                f"{target_.dim()}D target tensor expects {target_.dim() + 1}D input tensors, "
                f"but found inputs with size {input_.shape}"
            )
        if batched and input_.shape[0] != target_.shape[0]:
            raise ShapeError("Input and target should have the same size in the batch dimension.")
        x = input_ if batched else input_.unsqueeze(0)
        y = target_ if batched else target_.unsqueeze(0)
        if y.numel() and not (int(y.min().item()) >= 0 and int(y.max().item()) < self.n_classes):
            raise TensorError(
                f"Target values should be in [0, {self.n_classes - 1}], "
                f"but values in range [{y.min().item()}, {y.max().item()}] were found. "
            )
        head = F.log_softmax(self.head(x), dim=1)
        column = y.clone()  # the head's column of each target: its own, or its cluster's
        out = x.new_zeros(y.shape[0])
        for i in range(self.n_clusters):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            rows = ((y >= low) & (y < high)).nonzero().reshape(-1)
            if rows.numel() == 0:
                continue
            column = column.index_fill(0, rows, self.shortlist_size + i)
            cluster = F.log_softmax(self.tail[i](x.index_select(0, rows)), dim=1)
            inside = (y.index_select(0, rows) - low).unsqueeze(1)
            out = out.index_add(0, rows, cluster.gather(1, inside).squeeze(1))
        out = out + head.gather(1, column.unsqueeze(1)).squeeze(1)
        loss = (-out).mean()
        return _ASMoutput(out if batched else out.squeeze(0), loss)

    def _get_full_log_prob(self, input, head_output):
        head = F.log_softmax(head_output, dim=1)
        out = input.new_empty(head.shape[0], self.n_classes)
        out[:, : self.shortlist_size] = head[:, : self.shortlist_size]
        for i in range(self.n_clusters):
            cluster = F.log_softmax(self.tail[i](input), dim=1)
            out[:, self.cutoffs[i]: self.cutoffs[i + 1]] = cluster + head[:, self.shortlist_size + i].unsqueeze(1)
        return out

    def log_prob(self, input):
        """Return the log probabilities of all classes, (N, n_classes)."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input):
        """Return the most probable class of each row; clusters are computed only where they may win."""
        head = self.head(input)
        best = head.argmax(1)
        rows = (best >= self.shortlist_size).nonzero().reshape(-1)
        if rows.numel() == 0:
            return best
        full = self._get_full_log_prob(input.index_select(0, rows), head.index_select(0, rows))
        return best.index_copy(0, rows, full.argmax(1))
