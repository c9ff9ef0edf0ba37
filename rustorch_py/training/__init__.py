"""Training loops: `Trainer` and its `History`, metrics, `summary`, and `Model` in the style of Keras."""
from . import metrics
from ._history import History, TrainingHistory
from ._model import Model
from ._summary import ModelSummary, summary
from ._trainer import Trainer

__all__ = ["Trainer", "History", "TrainingHistory", "Model", "ModelSummary", "metrics", "summary"]
