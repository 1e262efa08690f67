"""A throw-away machine: a real systemd as the first process of its own namespaces, over a copy-on-write view of this one's files.

Nothing that happens in it reaches the real files, services or network. It needs root, and permission to make namespaces and mounts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

BOOT = Path(__file__).with_name("boot.sh")
BOOT_SECONDS = 60.0
TOOLS = ("unshare", "nsenter", "pivot_root", "systemctl")


class NotPermitted(Exception):
    """Why no such machine can be had here."""


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look again and again until ``condition`` holds. Raises AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        pause.wait(0.05)


class Machine:
    """Booted by ``start``. ``visible``: folders that lie elsewhere or under /tmp and must be seen inside, by every user."""

    def __init__(self, visible: Sequence[Path]) -> None:
        self._visible = [str(path) for path in visible]
        self._folder = Path(tempfile.mkdtemp(prefix="sleepd-machine-"))
        self._group = _cgroup_mount() / self._folder.name
        self._outer: subprocess.Popen[bytes] | None = None
        self._init = 0

    def start(self) -> None:
        """Boot. Raises NotPermitted with what the kernel or systemd said when it does not come up."""
        _require_tools()
        try:
            self._group.mkdir()
        except OSError as error:
            raise NotPermitted(f"cannot make the control group {self._group}: {error}") from error
        # The control group is entered before its namespace is made: then all of systemd's groups lie below it and can be removed.
        enter = 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"'
        namespaces = ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--net"]
        boot = [*namespaces, "sh", str(BOOT), str(self._folder), *self._visible]
        with (self._folder / "console").open("wb") as console:
            self._outer = _spawn(["sh", "-c", enter, "sh", str(self._group), *boot], console)
        try:
            wait_until(self._is_up, BOOT_SECONDS, "systemd is up")
        except AssertionError as error:
            raise NotPermitted(f"systemd did not come up: {self._console()[-1500:].strip() or error}") from error

    def stop(self) -> None:
        """End every process in it and remove what it left on the host: a scratch folder and a control group."""
        if self._outer is not None:
            self._outer.kill()
            self._outer.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._group.is_dir():
            wait_until(lambda: _remove_groups(self._group), 10, f"{self._group} is empty")

    def run(self, *command: str, timeout: float = 30, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root. With ``check``, a failure is an AssertionError that shows what was printed."""
        result = subprocess.run(
            ["nsenter", "--target", str(self._init), "--all", "--", *command],
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0"},
            check=False,
        )
        if check and result.returncode != 0:
            told = self.run("journalctl", "--no-pager", "-n", "40", check=False).stdout if command[0] == "systemctl" else ""
            raise AssertionError(f"{' '.join(command)} exited with {result.returncode}:\n{result.stdout}\n{result.stderr}\n{told}")
        return result

    def write(self, path: str, text: str) -> None:
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"', "sh", path, text)

    def show(self, unit: str, name: str) -> str:
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def _is_up(self) -> bool:
        assert self._outer is not None
        if self._outer.poll() is not None:
            raise AssertionError(f"it ended with {self._outer.returncode}")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        if not children:
            return False
        self._init = int(children[0])
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def _console(self) -> str:
        return (self._folder / "console").read_text(errors="replace")


def _require_tools() -> None:
    if os.geteuid() != 0:
        raise NotPermitted("only root can boot a systemd in namespaces")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or not Path("/lib/systemd/systemd").exists():
        raise NotPermitted(f"not installed: {', '.join(missing) or 'systemd'}")


def _cgroup_mount() -> Path:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, kind = line.partition(" - ")
        if kind.split()[0] == "cgroup2":
            return Path(place.split()[4])
    raise NotPermitted("no cgroup2 file system is mounted")


def _spawn(command: Sequence[str], console: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)


def _remove_groups(group: Path) -> bool:
    """Control groups are removed from the leaves up; one that still has a dying process says no."""
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            Path(folder).rmdir()
    except OSError:
        return False
    return True
