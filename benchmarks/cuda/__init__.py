"""Measurements on a GPU, beside PyTorch where it is installed: ``python -m benchmarks.cuda``."""
