"""Which modules are running: a door to `profiler._modules`."""
from ..profiler._modules import ModuleTracker

__all__ = ["ModuleTracker"]
