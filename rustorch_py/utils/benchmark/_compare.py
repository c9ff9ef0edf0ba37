"""Tables of measurements."""
from __future__ import annotations

import enum
import math

from ...errors import TensorValueError
from ._measurement import Measurement, ordered_unique, select_unit, trim_sigfig, unit_to_english

_BOLD, _PLAIN = "\033[1m", "\033[0m" * 2
# (at most this many times the best, colour), and the two from which on a time is bad
_GOOD_ONES = ((1.01, "\033[92m" + _BOLD), (1.1, "\033[34m" + _BOLD))
_BAD_ONES = ((5, "\033[31m" + _BOLD), (2, "\033[2m\033[91m"))


class Colorize(enum.Enum):
    """What a time's colour compares it with."""
    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


class Compare:
    """A table of measurements: one for each label, a row for each sub-label, thread count and environment, a column for each description.

    Args:
        results: list of :class:`Measurement`; those of one task are merged.

    Raises:
        ValueError: something in the list is no Measurement.

    Example:
        >>> a = Timer("x.sum()", globals={"x": torch.ones(4)}, label="sum", description="4").timeit(10)
        >>> print(Compare([a]))     # doctest: +SKIP
    """

    def __init__(self, results):
        self._results = []
        self.extend_results(results)
        self._trim, self._colorize, self._highlight = False, Colorize.NONE, False

    def extend_results(self, results):
        """Add measurements."""
        for r in results:
            if not isinstance(r, Measurement):
                raise TensorValueError(f"Expected an instance of `Measurement`, got {type(r)} instead.")
        self._results.extend(results)

    def trim_significant_figures(self):
        """Show only the figures that the spread of the times leaves meaning to."""
        self._trim = True

    def colorize(self, rowwise=False):
        """Colour each time by how far it is from the best of its column, or of its row."""
        self._colorize = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self):
        """Mark the times whose spread is large."""
        self._highlight = True

    def print(self):
        """Print the tables."""
        print(str(self))

    def __str__(self):
        by_label = {}
        for m in Measurement.merge(self._results):
            by_label.setdefault(m.label, []).append(m)
        return "\n".join(self._table(label, found) for label, found in by_label.items())

    def _table(self, label, results):
        unit, scale = select_unit(min(m.median for m in results))
        columns = ordered_unique(m.description for m in results)
        rows = sorted(ordered_unique((m.num_threads, m.env, m.as_row_name) for m in results), key=lambda row: (row[0], row[1] or ""))
        cells = {((m.num_threads, m.env, m.as_row_name), m.description): m for m in results}
        texts = [self._column([cells.get((row, column)) for row in rows], scale) for column in columns]
        names = self._names(rows)
        widths = [max(map(len, names))] + [max(len(column or ""), *map(len, text)) for column, text in zip(columns, texts)]
        head = "  |  ".join([" " * widths[0]] + [(column or "").center(width) for column, width in zip(columns, widths[1:])])
        lines, threads = [f"[{f' {label or str()} '.center(len(head) - 2, '-')}]", head], None
        for i, row in enumerate(rows):
            if row[0] != threads:
                threads = row[0]
                lines.append(f"{threads} threads: ".ljust(len(head), "-"))
            shown = [names[i].ljust(widths[0])]
            for j, column in enumerate(columns):
                shown.append(self._coloured(texts[j][i].center(widths[j + 1]), cells, rows, columns, row, column))
            lines.append("  |  ".join(shown))
        lines += ["", f"Times are in {unit_to_english(unit)}s ({unit})."]
        if self._highlight and any(m.has_warnings for m in results):
            lines.append("(! XX%) Measurement has high variance, where XX is the IQR / median * 100.")
        return "\n".join(lines) + "\n"

    @staticmethod
    def _names(rows):
        """Names of the rows; behind the environment, where there are several and it is not the row's above."""
        environments = [row[1] for row in rows]
        if len(set(environments)) == 1:
            return ["  " + " " * 4 + row[2] for row in rows]
        wide = max(len(str(e)) for e in environments) + 4
        above = [(None, "")] + [row[:2] for row in rows]
        return ["  " + (f"({row[1]})" if row[:2] != above[i] else "").ljust(wide) + row[2] for i, row in enumerate(rows)]

    def _column(self, found, scale):
        """Texts of a column's times, all of one width."""
        there = [m for m in found if m is not None]
        digits = [math.ceil(math.log10(m.median / scale)) for m in there]
        decimals = min(max(m.significant_figures - d, 0) for m, d in zip(there, digits)) if self._trim else 1
        marked = self._highlight and any(m.has_warnings for m in there)
        width = max(digits) + decimals + (decimals > 0)
        out = []
        for m in found:
            value = None if m is None else m.median / scale
            if value is not None and self._trim:
                value = trim_sigfig(value, m.significant_figures)
            text = " " * width if value is None else f"{value:>{width}.{decimals}f}"
            mark = f" (! {m.iqr / m.median * 100:.0f}%)" if marked and m is not None and m.has_warnings else ""
            out.append(text + (mark.rjust(7) if marked else ""))
        wide = max(map(len, out))
        return [text.ljust(wide) if not text.strip() else text for text in out]

    def _coloured(self, text, cells, rows, columns, row, column):
        m = cells.get((row, column))
        if self._colorize is Colorize.NONE or m is None:
            return text
        others = [cells.get((row, c)) for c in columns] if self._colorize is Colorize.ROWWISE else [cells.get((r, column)) for r in rows if r[0] == row[0]]
        best = min(o.median for o in others if o is not None)
        for factor, begin in _GOOD_ONES:
            if m.median <= best * factor or factor == _GOOD_ONES[0][0] and m.median <= best + 100e-9:
                return begin + text + _PLAIN
        for factor, begin in _BAD_ONES:
            if m.median >= best * factor:
                return begin + text + _PLAIN
        return text
