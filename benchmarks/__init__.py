"""The benchmark suite: every row beside PyTorch, NumPy and, where installed, JAX, MLX and tinygrad.

Run it with ``make bench`` or ``rustorch bench``. ``cases/`` holds the table of rows, one entry a row; ``_peers``
the libraries, ``_run`` the timing, ``_report`` the files. README.md says how to add a row and how to read a result.
"""
