"""Training loops: `Trainer`, its `History`, metrics, and `summary` of a model."""
from . import metrics
from ._history import History, TrainingHistory
from ._summary import ModelSummary, summary
from ._trainer import Trainer

__all__ = ["Trainer", "History", "TrainingHistory", "ModelSummary", "metrics", "summary"]
