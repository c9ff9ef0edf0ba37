"""The figure class and the look shared by all pictures. matplotlib is imported on first use only."""
from __future__ import annotations

import functools
import os

from ..errors import MissingDependencyError
from ..utils._notebook import notebook_shell
from ..utils.atomic import atomic_write

INK, GREY, FAINT, GRID = "#1f2937", "#6b7280", "#9ca3af", "#e5e7eb"
# Colours that stay apart for the colour-blind (Okabe and Ito 2008), the first two for train and validation.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLE = {
    "font.size": 10.0, "axes.titlesize": 11.0, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.labelcolor": GREY, "axes.edgecolor": FAINT, "axes.titlecolor": INK, "text.color": INK,
    "xtick.color": GREY, "ytick.color": GREY, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8, "axes.axisbelow": True,
    "legend.frameon": False, "lines.linewidth": 1.8, "figure.facecolor": "white", "savefig.dpi": 150,
}


def matplotlib():
    """Return the matplotlib package, or say how to get it."""
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError:
        raise MissingDependencyError(
            "visualization: matplotlib is not installed; run `pip install rustorch_py[viz]`") from None
    return matplotlib


@functools.cache
def _picture_class():
    figure = matplotlib().figure

    class Picture(figure.Figure):
        """A matplotlib figure that shows itself in notebooks and saves itself whole or not at all."""

        def save(self, path, **options):
            """Write the picture; the format follows the name's end (png if it has none). Returns the path."""
            path = os.fspath(path)
            kind = os.path.splitext(path)[1].lstrip(".").lower() or "png"
            supported = self.canvas.get_supported_filetypes()
            if kind not in supported:
                raise ValueError(f"save: {kind!r} is no picture format known here; known: {', '.join(sorted(supported))}")
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with matplotlib().rc_context(STYLE), atomic_write(path, "wb") as file:
                self.savefig(file, format=kind, **{"bbox_inches": "tight", "pad_inches": 0.15, **options})
            return path

        _shown_in = None  # number of the notebook cell that showed it through show=True

        def _ipython_display_(self):
            shell = notebook_shell()
            if shell is None or self._shown_in != shell.execution_count:
                raise NotImplementedError  # IPython then asks for the PNG
            # Already in this cell's output: as the cell's value it would appear twice.

        def _repr_png_(self):
            import io
            file = io.BytesIO()
            with matplotlib().rc_context(STYLE):
                self.savefig(file, format="png", bbox_inches="tight", dpi=100)
            return file.getvalue()

    return Picture


class _PictureMeta(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, _picture_class())


class Picture(metaclass=_PictureMeta):
    """What the functions here return: a `matplotlib.figure.Figure` with `save(path)`; `isinstance` works."""

    def __new__(cls, *args, **kwargs):
        return _picture_class()(*args, **kwargs)


def drawn(function):
    """Give a function `draw(..., figure=)` the arguments path, show and dpi, the common style and a figure.

    The function receives an empty figure as keyword `figure` and fills it.
    """
    @functools.wraps(function)
    def wrapper(*args, path=None, show=False, **kwargs):
        mpl = matplotlib()
        with mpl.rc_context(STYLE):
            shell = notebook_shell() if show else None
            if show and shell is None:
                import matplotlib.pyplot as pyplot
                figure = pyplot.figure(FigureClass=_picture_class())
            else:
                from matplotlib.backends.backend_agg import FigureCanvasAgg
                figure = _picture_class()()
                FigureCanvasAgg(figure)
            function(*args, figure=figure, **kwargs)
        if path is not None:
            figure.save(path)
        if shell is not None:
            from IPython.display import display
            display(figure)
            figure._shown_in = shell.execution_count
        elif show:
            pyplot.show()
        return figure
    return wrapper
