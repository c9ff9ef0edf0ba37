"""Helpers around modules and their parameters (``torch.nn.utils``)."""
