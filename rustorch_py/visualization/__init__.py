"""Pictures of training runs, tensors and models, through matplotlib (`pip install rustorch_py[viz]`).

Every function returns a `Picture`: it shows itself in a notebook, `picture.save("file.png")` writes it (also
pdf and svg, by the name's end), and `path=` does so at once. Nothing touches pyplot's state unless `show=True`.
"""
from ._curves import plot_confusion_matrix, plot_training_history
from ._figure import Picture
from ._graph import plot_model_graph
from ._tensors import (plot_attention, plot_filters, plot_gradient_histograms, plot_histogram, plot_images,
                       plot_weight_histograms, visualize_tensor)

__all__ = ["Picture", "plot_training_history", "plot_confusion_matrix", "plot_model_graph", "visualize_tensor",
           "plot_histogram", "plot_weight_histograms", "plot_gradient_histograms", "plot_filters", "plot_attention",
           "plot_images"]
