"""Versions of the package and of what it was built with, under torch.version's names."""
from ._version import __version__  # noqa: F401

cuda = None
hip = None
debug = False
git_version = "unknown"
