"""PyTorch's name of `rustorch_py.data`: importing this gives that very module, and its parts."""
import sys

from .. import data as _data

_prefix = _data.__name__ + "."
for _name, _module in list(sys.modules.items()):
    if _name.startswith(_prefix):
        sys.modules[__name__ + "." + _name[len(_prefix):]] = _module
sys.modules[__name__] = _data
