"""PyTorch's inner name of what a worker process is told about itself."""
from .._worker_info import WorkerInfo, get_worker_info  # noqa: F401
