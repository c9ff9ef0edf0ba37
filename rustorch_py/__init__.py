"""rustorch_py: PyTorch's API in a small package."""
