"""Batches of sequences of different lengths: padded, packed, and back."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable

from ... import tensor as _t
from ...errors import ShapeError, TensorError
from ...tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(
    namedtuple("PackedSequence_", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])
):
    """Hold the elements of a batch of sequences, ordered by time step.

    Made by ``pack_padded_sequence`` and ``pack_sequence``.

    Attributes:
        data: (elements, ...), all sequences' first elements first.
        batch_sizes: int64, how many sequences are alive at each step.
        sorted_indices: the order, by falling length, in which sequences are stored; or None.
        unsorted_indices: its inverse; or None.
    """

    __slots__ = ()

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually; "
                "use pack_sequence and pack_padded_sequence of nn.utils.rnn"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """Move or convert the data (arguments as for ``Tensor.to``); the indices move along."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self

        def move(index):
            return None if index is None else index.to(data.device)

        return type(self)(data, self.batch_sizes, move(self.sorted_indices), move(self.unsorted_indices))

    def cuda(self, *args, **kwargs):
        """Move to a CUDA device."""
        return self.to(*args, **kwargs) if args or "device" in kwargs else self.to(device="cuda", **kwargs)

    def cpu(self, *args, **kwargs):
        """Move to the CPU."""
        return self.to(device="cpu")

    def pin_memory(self):
        """Copy to page-locked memory."""

        def pin(t):
            return None if t is None else t.pin_memory()

        return type(self)(pin(self.data), self.batch_sizes, pin(self.sorted_indices), pin(self.unsorted_indices))

    def double(self):
        """Convert the data to float64."""
        return self.to(dtype=_t.float64)

    def float(self):
        """Convert the data to float32."""
        return self.to(dtype=_t.float32)

    def half(self):
        """Convert the data to float16."""
        return self.to(dtype=_t.float16)

    def long(self):
        """Convert the data to int64."""
        return self.to(dtype=_t.int64)

    def int(self):
        """Convert the data to int32."""
        return self.to(dtype=_t.int32)

    def short(self):
        """Convert the data to int16."""
        return self.to(dtype=_t.int16)

    def char(self):
        """Convert the data to int8."""
        return self.to(dtype=_t.int8)

    def byte(self):
        """Convert the data to uint8."""
        return self.to(dtype=_t.uint8)

    @property
    def is_cuda(self):
        """Whether the data are on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self):
        """Tell whether the data are in page-locked memory."""
        return self.data.is_pinned()


def invert_permutation(permutation):
    """Return the inverse of a permutation of indices; None for None."""
    if permutation is None:
        return None
    order = _t.arange(permutation.numel(), dtype=permutation.dtype, device=permutation.device)
    return _t.empty_like(permutation).scatter_(0, permutation, order)


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Pack a padded batch.

    Args:
        input: (T, N, ...), or (N, T, ...) with ``batch_first``.
        lengths: the sequences' lengths, on the CPU.
        batch_first: the batch is the first dimension.
        enforce_sorted: lengths fall already; otherwise sequences are sorted here.
    """
    if isinstance(lengths, Tensor):
        if lengths.device.type != "cpu":
            raise TensorError(
                f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D {lengths.device} "
                "tensor; call lengths.cpu()",
                op="pack_padded_sequence",
            )
        lengths = lengths.to(_t.int64)
    else:
        lengths = _t.tensor([int(n) for n in lengths], dtype=_t.int64)
    batch_dim = 0 if batch_first else 1
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = _t.sort(lengths, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(batch_dim, sorted_indices)
    if batch_first:
        input = input.transpose(0, 1)
    sizes = lengths.tolist()
    if input.shape[1] != len(sizes):
        raise ShapeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} (batch_size={input.shape[1]})",
            op="pack_padded_sequence",
        )
    if not sizes:
        raise TensorError("Cannot pack empty tensors.", op="pack_padded_sequence")
    if any(a < b for a, b in zip(sizes, sizes[1:])):
        raise TensorError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability.",
            op="pack_padded_sequence",
        )
    if sizes[-1] <= 0:
        raise TensorError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0",
            op="pack_padded_sequence",
        )
    if sizes[0] > input.shape[0]:
        raise ShapeError(
            f"Expected lengths to be at most the padded length {input.shape[0]}, but got {sizes[0]}",
            op="pack_padded_sequence",
        )
    alive = _alive(sizes)
    steps = input.unbind(0)
    data = _t.cat([steps[t][:n] for t, n in enumerate(alive)])
    return PackedSequence(data, _t.tensor(alive, dtype=_t.int64), sorted_indices, None)


def _alive(lengths):
    """Return, for falling lengths, how many sequences reach each step (also its own inverse)."""
    counts = []
    n = len(lengths)
    for t in range(lengths[0]):
        while lengths[n - 1] <= t:
            n -= 1
        counts.append(n)
    return counts


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """Unpack into a padded batch.

    Args:
        sequence: the PackedSequence.
        batch_first: put the batch first.
        padding_value: what fills the ends.
        total_length: pad to this length instead of the longest.

    Returns:
        the batch (T, N, ...) or (N, T, ...), and the lengths (int64).
    """
    sizes = sequence.batch_sizes.tolist()
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    batch = sizes[0]
    data = sequence.data
    rest = tuple(data.shape[1:])
    # Position of every element in the padded batch, flattened to (T * N).
    index = _t.tensor([t * batch + i for t, n in enumerate(sizes) for i in range(n)], dtype=_t.int64, device=data.device)
    out = _t.full((steps * batch, *rest), padding_value, dtype=data.dtype, device=data.device)
    out = out.index_copy(0, index, data).reshape(steps, batch, *rest)
    lengths = _t.tensor(_alive(sizes), dtype=_t.int64)
    if batch_first:
        out = out.transpose(0, 1)
    if sequence.unsorted_indices is not None:
        out = out.index_select(0 if batch_first else 1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu()]
    return out, lengths


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Stack sequences of different lengths, padded.

    Args:
        sequences: tensors (T_i, ...).
        batch_first: put the batch first.
        padding_value: what fills the ends.
        padding_side: ``"right"`` or ``"left"``.
    """
    if not isinstance(sequences, Iterable):
        raise TensorError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}",
            op="pad_sequence",
        )
    sequences = tuple(sequences)
    if not sequences:
        raise TensorError("received an empty list of sequences", op="pad_sequence")
    if padding_side not in ("right", "left"):
        raise TensorError(
            f"Expected padding_side to be one of left or right, but got {padding_side}.", op="pad_sequence"
        )
    longest = max(s.shape[0] for s in sequences)
    rest = tuple(sequences[0].shape[1:])
    padded = []
    for i, s in enumerate(sequences):
        if tuple(s.shape[1:]) != rest:
            raise ShapeError(
                f"pad_sequence: sequences must agree in all sizes but the first: sequence 0 is "
                f"{tuple(sequences[0].shape)}, sequence {i} is {tuple(s.shape)}",
                op="pad_sequence",
            )
        missing = longest - s.shape[0]
        if missing:
            fill = s.new_full((missing, *rest), padding_value)
            s = _t.cat((s, fill) if padding_side == "right" else (fill, s))
        padded.append(s)
    return _t.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """Cut a padded batch into the list of its sequences."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [row[: int(n)].clone() for row, n in zip(padded_sequences.unbind(0), lengths)]


def pack_sequence(sequences, enforce_sorted=True):
    """Pack a list of sequences (falling lengths, unless ``enforce_sorted`` is False)."""
    lengths = _t.tensor([s.shape[0] for s in sequences], dtype=_t.int64)
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """Unpack into the list of sequences."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
