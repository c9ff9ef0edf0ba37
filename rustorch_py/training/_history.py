"""The numbers of a training run, one row per epoch."""
from __future__ import annotations

import json
import math

from ..utils.atomic import atomic_write


class History:
    """Rows of metrics, one per epoch, with the columns by name.

    `history["loss"]` is a column, `history.rows` are dictionaries, `history.losses` and
    `history.accuracies` are the two columns that plots want first. Missing values are nan.
    """

    def __init__(self, rows=()):
        self.rows = [dict(row) for row in rows]

    def append(self, row):
        """Add an epoch's dictionary."""
        self.rows.append(dict(row))

    @property
    def columns(self):
        """Names of all columns, in order of appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __getitem__(self, name):
        if name not in self.columns:
            raise KeyError(f"history has no column {name!r}; it has {', '.join(self.columns) or 'no rows yet'}")
        return [row.get(name, math.nan) for row in self.rows]

    def __contains__(self, name):
        return name in self.columns

    def __len__(self):
        return len(self.rows)

    def _column(self, name):
        return self[name] if name in self else []

    @property
    def history(self):
        """All columns as a dictionary of lists."""
        return {name: self[name] for name in self.columns}

    @property
    def epochs(self):
        return self._column("epoch")

    @property
    def losses(self):
        return self._column("loss")

    @property
    def accuracies(self):
        return self._column("accuracy")

    @property
    def val_losses(self):
        return self._column("val_loss")

    @property
    def val_accuracies(self):
        return self._column("val_accuracy")

    def best(self, name="val_loss", mode="auto"):
        """Return the row that is best in column `name`; `mode` is 'min', 'max' or 'auto' by name."""
        from ..callbacks import _Monitor
        monitor = _Monitor(name, mode)
        for index, value in enumerate(self[name]):
            monitor.update(index + 1, {name: value})
        return self.rows[monitor.best_epoch - 1] if monitor.best_epoch else None

    def to_csv(self, path):
        """Write the rows as CSV, columns in order of appearance."""
        import csv
        with atomic_write(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)

    def to_json(self, path):
        """Write the rows as a JSON list; nan and infinities become null, as JSON has neither."""
        rows = [{k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in row.items()}
                for row in self.rows]
        with atomic_write(path, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)
            file.write("\n")

    @classmethod
    def from_json(cls, path):
        """Read what `to_json` wrote."""
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)
        return cls({k: math.nan if v is None else v for k, v in row.items()} for row in rows)

    def plot(self, path=None, **options):
        """Draw the curves; see `rustorch_py.visualization.plot_training_history`."""
        from ..visualization import plot_training_history
        return plot_training_history(self, path=path, **options)

    def __repr__(self):
        if not self.rows:
            return "History(0 epochs)"
        last = ", ".join(f"{k}={v:.4g}" for k, v in self.rows[-1].items() if isinstance(v, float))
        return f"History({len(self.rows)} epochs; last: {last})"


TrainingHistory = History
