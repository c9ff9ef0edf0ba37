"""PyTorch's older name of the profiler floor."""
from ..profiler import EventList, FunctionEvent, profile, record_function

__all__ = ["EventList", "FunctionEvent", "profile", "record_function"]
