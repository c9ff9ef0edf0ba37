"""Whether output goes to a Jupyter front end."""
from __future__ import annotations

import sys


def notebook_shell():
    """Return the IPython shell whose output a Jupyter front end shows, or None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if type(shell).__name__ == "ZMQInteractiveShell" else None
