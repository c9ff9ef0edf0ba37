"""Event files for TensorBoard, through tensorboardX."""
from __future__ import annotations

from ...errors import MissingDependencyError, UnsupportedOpError
from ...tensor import Tensor

try:
    from tensorboardX import SummaryWriter as _Writer
except ImportError:
    raise MissingDependencyError("rustorch_py.utils.tensorboard: tensorboardX is not installed; run "
                                 "`pip install tensorboardX`") from None

__all__ = ["SummaryWriter"]


def _to_numpy(value):
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if str(value.dtype).endswith("bfloat16") else value).numpy()
    if isinstance(value, dict):
        return {k: _to_numpy(v) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_to_numpy(v) for v in value)
    return value


class SummaryWriter(_Writer):
    """Write scalars, pictures, histograms, text and more into a folder that TensorBoard shows.

    Every ``add_*`` method takes tensors of this package where PyTorch's takes tensors.

    Args:
        log_dir: folder; None: ``runs/<time>_<host><comment>``.
        comment: end of the default folder's name.
        purge_step: step from which earlier events of the folder are hidden.
        max_queue, flush_secs: how many events, and for how many seconds, wait to be written.
        filename_suffix: end of the event file's name.

    Example:
        >>> writer = SummaryWriter("runs/one")                   # doctest: +SKIP
        >>> writer.add_scalar("loss/train", loss, step)          # doctest: +SKIP
        >>> writer.close()                                       # doctest: +SKIP
    """

    def __init__(self, log_dir=None, comment="", purge_step=None, max_queue=10, flush_secs=120, filename_suffix=""):
        super().__init__(None if log_dir is None else str(log_dir), comment, purge_step, max_queue, flush_secs,
                         filename_suffix)

    def add_graph(self, model, input_to_model=None, verbose=False, use_strict_trace=True):
        """Refuse: TensorBoard's graph format needs PyTorch's tracer."""
        raise UnsupportedOpError("SummaryWriter.add_graph: not supported; draw the model with "
                                 "rustorch_py.visualization.plot_model_graph and add_figure", op="add_graph")


def _with_tensors(name):
    inner = getattr(_Writer, name)

    def method(self, *args, **kwargs):
        return inner(self, *(_to_numpy(a) for a in args), **{k: _to_numpy(v) for k, v in kwargs.items()})

    method.__name__ = name
    method.__qualname__ = f"SummaryWriter.{name}"
    method.__doc__ = inner.__doc__
    return method


for _name in ("add_scalar", "add_scalars", "add_histogram", "add_image", "add_images", "add_image_with_boxes",
              "add_video", "add_audio", "add_embedding", "add_pr_curve", "add_hparams", "add_mesh"):
    if hasattr(_Writer, _name):
        setattr(SummaryWriter, _name, _with_tensors(_name))
