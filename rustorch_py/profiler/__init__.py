"""Where the time and memory of a stretch of code go, operator by operator."""
from ._events import FunctionEvent, FunctionEventAvg, EventList
from ._profile import ProfilerActivity, profile, record_function

__all__ = ["profile", "record_function", "ProfilerActivity", "FunctionEvent", "FunctionEventAvg", "EventList"]
