"""The package's logger, ``logging.getLogger("rustorch_py")``. Imported when something is to be said, or asked for by
RUSTORCH_LOG_LEVEL (debug, info, warning, error, critical): the logging module costs a tenth of the import time."""
import logging
import os
import sys

logger = logging.getLogger("rustorch_py")


def _add_rank(record):
    """Give a record ``rank``, and ``rank_text`` for a line's beginning: empty outside of a distributed run."""
    module = sys.modules.get("rustorch_py.distributed")
    record.rank = module.get_rank() if module is not None and module.is_initialized() else 0
    record.rank_text = f"[rank {record.rank} of {module.get_world_size()}] " if module is not None and module.is_initialized() else ""
    return True


logger.addFilter(_add_rank)


def configure(level=None):
    """Set the logger's level by name and give it a handler to stderr if the program has set up none.

    Args:
        level: default: RUSTORCH_LOG_LEVEL.
    Raises:
        ValueError: no such level.
    """
    name = (level or os.environ.get("RUSTORCH_LOG_LEVEL", "warning")).strip().lower()
    levels = {"trace": 5, "debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "warning": logging.WARNING,
              "error": logging.ERROR, "critical": logging.CRITICAL, "off": logging.CRITICAL + 1}
    if name not in levels:
        raise ValueError(f"RUSTORCH_LOG_LEVEL: expected one of {', '.join(levels)}, got {name!r}")
    logger.setLevel(levels[name])
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(rank_text)s%(name)s %(levelname)s: %(message)s"))
        logger.addHandler(handler)
