"""`rustorch launch`: start a program on several ranks, and again from its last checkpoint if a rank fails."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid

from ..distributed._bootstrap import launcher_command
from ..errors import DataError


def run(arguments):
    """Carry out `rustorch launch`; returns the exit code of the last start."""
    ranks = arguments.ranks or os.cpu_count() or 1
    command, env = launcher_command(ranks, local=not arguments.hosts)
    if arguments.hosts:
        command[1:1] = ["--host" if "--oversubscribe" in command else "-hosts", arguments.hosts]
    env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // ranks)))
    env["TORCHELASTIC_RUN_ID"] = uuid.uuid4().hex
    program = [sys.executable, *(["-m", *arguments.module] if arguments.module else arguments.program)]
    if len(program) == 1:
        raise DataError("launch: give a program, or -m MODULE")
    for attempt in range(arguments.max_restarts + 1):
        env["TORCHELASTIC_RESTART_COUNT"], env["TORCHELASTIC_MAX_RESTARTS"] = str(attempt), str(arguments.max_restarts)
        code = _wait(subprocess.Popen([*command, *program], env=env))
        if code == 0 or code in (130, -signal.SIGINT, 2):     # done; stopped by a person; wrong usage, which no restart mends
            return abs(code)
        if attempt < arguments.max_restarts:
            print(f"rustorch launch: ended with {code}; restart {attempt + 1} of {arguments.max_restarts}", file=sys.stderr, flush=True)
            time.sleep(arguments.pause)
    return code if code > 0 else 1


def _wait(job):
    """Wait for mpirun; Ctrl-C and SIGTERM are its to handle, which tells the ranks."""
    def hand_on(number, frame):
        job.send_signal(number)
    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM,)}
    try:
        while True:
            try:
                return job.wait()
            except KeyboardInterrupt:         # the terminal sent it to mpirun too
                continue
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
