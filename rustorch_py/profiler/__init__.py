"""Where the time and memory of a stretch of code go, operator by operator."""
from ._events import FunctionEvent, FunctionEventAvg, EventList
from ._profile import ProfilerActivity, profile, record_function
from ._schedule import DeviceType, ProfilerAction, kineto_available, schedule, supported_activities, tensorboard_trace_handler

__all__ = ["profile", "record_function", "ProfilerActivity", "ProfilerAction", "DeviceType", "FunctionEvent", "FunctionEventAvg", "EventList",
           "kineto_available", "schedule", "supported_activities", "tensorboard_trace_handler"]
