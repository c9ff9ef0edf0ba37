"""`python -m rustorch_py.cli` is the console script."""
import sys

from . import main

sys.exit(main())
