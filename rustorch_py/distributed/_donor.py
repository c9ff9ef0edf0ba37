"""Runs under mpirun in place of a process that another launcher started, and hands that process MPI's environment.

Started by `_bootstrap` as a plain script: python _donor.py FOLDER. The process waits at FOLDER/RANK. While the connection is
open both live; what ends one ends the other, so that neither a rank nor mpirun is left over.
"""
import json
import os
import socket
import sys

rank = next(os.environ[name] for name in ("PMIX_RANK", "PMI_RANK", "PMI_ID") if name in os.environ)
connection = socket.socket(socket.AF_UNIX)
connection.connect(os.path.join(sys.argv[1], rank))
# MPICH's launcher is reached by open descriptors, whose numbers are in the environment; they go along.
passed = [name for name in ("PMI_FD", "HYDI_CONTROL_FD") if name in os.environ]
socket.send_fds(connection, [json.dumps(passed).encode().ljust(64)], [int(os.environ[name]) for name in passed])
connection.sendall(json.dumps(dict(os.environ)).encode() + b"\n")
# MPICH's library talks to its launcher until the very end of the process, so this one stays as long.
done = False
while word := connection.recv(16):
    done = done or word == b"done"
sys.exit(0 if done else 1)
