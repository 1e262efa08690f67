"""Becomes the child of a cycle: sets its limits and priorities, then replaces itself by the trainer.

Run as a script by the supervisor, between fork and exec, because a daemon with threads must not run code of
its own after a fork. Standard library only, and nothing of sleepd. What a kernel or a user may not do (idle
I/O, a lower score for the OOM killer) is skipped: it is a kindness to the machine, not a condition.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314}
_IOPRIO_CLASS_IDLE = 3 << 13


def main(arguments: list[str]) -> None:
    """arguments: a JSON object {"parent","nice","oom_score_adj","memory_max_mb","cgroup"}, then the trainer's argv."""
    limits, argv = json.loads(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # a daemon that is killed must not leave a trainer behind
    if os.getppid() != limits["parent"]:
        sys.exit(1)  # it died before that took hold
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGPIPE"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    in_cgroup = _enter_cgroup(limits["cgroup"])
    if limits["memory_max_mb"] and not in_cgroup:
        size = limits["memory_max_mb"] * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    _attempt(lambda: Path("/proc/self/oom_score_adj").write_text(str(limits["oom_score_adj"])))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        libc.syscall(number, 1, 0, _IOPRIO_CLASS_IDLE)
    _attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, max(limits["nice"], os.getpriority(os.PRIO_PROCESS, 0))))
    _attempt(lambda: _lower_session(limits["nice"]))
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"cannot start the trainer {argv[0]}: {error.strerror}", file=sys.stderr)
        print(
            json.dumps({"stage": "error", "message": f"cannot start {argv[0]}: {error.strerror}", "remedy": "check training.python"}),
            flush=True,
        )
        sys.exit(3)


def _enter_cgroup(directory: str | None) -> bool:
    if not directory:
        return False
    return _attempt(lambda: Path(directory, "cgroup.procs").write_text(str(os.getpid())))


def _lower_session(nice: int) -> None:
    """Where the kernel groups processes by session, a nice value counts within a session only, and the trainer leads its own."""
    for _ in range(20):
        try:
            Path("/proc/self/autogroup").write_text(str(nice))
        except BlockingIOError:
            time.sleep(0.05)  # the kernel takes ten of these a second, from everybody together
        else:
            return


def _attempt(action) -> bool:  # type: ignore[no-untyped-def]  # any callable; its result does not matter
    try:
        action()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
