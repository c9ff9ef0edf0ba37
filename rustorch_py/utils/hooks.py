"""Handles by which a registered hook is removed again."""
from ..tensor._hooks import RemovableHandle

__all__ = ["RemovableHandle"]
