"""Installed plugins: entry points of the group "rustorch_py.plugins", looked for only when somebody asks."""
import types
from importlib import metadata

from ..errors import PluginError
from . import _registry

GROUP = "rustorch_py.plugins"
_loaded = {}                   # entry point name -> what it loaded


class Plugin:
    """An installed plugin.

    Attributes:
        name: the namespace of its operators; value: what is loaded ("package.module" or "package.module:function").
        distribution, version: the package that brings it.
        loaded: whether its operators are there.
    """
    __slots__ = ("name", "value", "distribution", "version", "_entry")

    def __init__(self, entry):
        self.name, self.value, self._entry = entry.name, entry.value, entry
        self.distribution = entry.dist.name if entry.dist is not None else "unknown"
        self.version = entry.dist.version if entry.dist is not None else "unknown"

    @property
    def loaded(self):
        return self.name in _loaded

    def __repr__(self):
        return f"Plugin({self.name!r}, {self.value!r}, {self.distribution} {self.version}, {'loaded' if self.loaded else 'not loaded'})"


def plugins():
    """List the installed plugins, loaded or not, by name."""
    return sorted((Plugin(e) for e in metadata.entry_points(group=GROUP)), key=lambda p: p.name)


def load_plugin(name):
    """Load an installed plugin; return ``rustorch_py.ops.<name>``. Once loaded, it is not loaded again.

    An entry point names a module, which registers operators when it is imported, or a function, which is called.

    Raises:
        PluginError: there is no such plugin, two packages bring it, or it failed: the message names the package and the cause.
    """
    with _registry.lock:
        if name in _loaded:
            return _registry.namespace(name)
        found = [p for p in plugins() if p.name == name]
        if not found:
            names = ", ".join(p.name for p in plugins()) or "none"
            raise PluginError(f"load_plugin: no installed package has a plugin {name!r} in the group {GROUP!r}; installed: {names}")
        if len({(p.distribution, p.value) for p in found}) > 1:
            raise PluginError(f"load_plugin: several packages bring a plugin {name!r}: "
                              f"{', '.join(f'{p.distribution} {p.version} ({p.value})' for p in found)}; uninstall all but one")
        plugin = found[0]
        _loaded[name] = None                             # a plugin that asks for its own namespace does not start over
        try:
            thing = plugin._entry.load()
            if not isinstance(thing, types.ModuleType):
                if not callable(thing):
                    raise TypeError(f"the entry point is neither a module nor callable: {type(thing).__name__}")
                thing()
            _loaded[name] = thing
        except BaseException as error:
            del _loaded[name]
            if not isinstance(error, Exception):
                raise
            raise PluginError(f"plugin {name!r} of {plugin.distribution} {plugin.version} ({plugin.value}) failed to load: "
                              f"{type(error).__name__}: {error}") from error
        return _registry.namespace(name)


def load_namespace(name):
    """Load the plugin of a namespace that has no operators yet, if one is installed; tell whether it was."""
    if name in _loaded or not any(p.name == name for p in plugins()):
        return False
    load_plugin(name)
    return True
