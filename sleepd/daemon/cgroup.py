"""A leaf of our own cgroup for the child, where systemd delegated it to us (Delegate=yes); else nothing is touched."""

from __future__ import annotations

import os
from pathlib import Path

_DAEMON, _NIGHT = "daemon", "night"


def prepare_leaf(memory_max_mb: int, root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> Path | None:
    """A leaf with memory.max set, or None where cgroups are not ours and an rlimit has to do.

    A cgroup that passes controllers down must hold no process itself, so the daemon moves into a leaf too.
    """
    own = _own(root, proc)
    if own is None or not _delegated(own):
        return None
    base = own.parent if own.name == _DAEMON else own
    leaf = base / _NIGHT
    try:
        if own.name != _DAEMON:
            (base / _DAEMON).mkdir(exist_ok=True)
            (base / _DAEMON / "cgroup.procs").write_text(str(os.getpid()))
        (base / "cgroup.subtree_control").write_text("+memory")
        leaf.mkdir(exist_ok=True)
        (leaf / "memory.max").write_text(str(memory_max_mb * 1024 * 1024))
        (leaf / "memory.oom.group").write_text("1")
    except OSError:
        return None
    return leaf


def _own(root: Path, proc: Path) -> Path | None:
    try:
        lines = (proc / "self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("0::/"):
            path = root / line[4:]
            return path if path.is_dir() else None
    return None


def _delegated(cgroup: Path) -> bool:
    """Root may write everywhere, so for root only systemd's own mark counts."""
    for marked in (cgroup, cgroup.parent):
        for name in ("user.delegate", "trusted.delegate"):
            try:
                if os.getxattr(marked, name) == b"1":
                    return True
            except OSError:
                continue  # not set, or not ours to read
        if cgroup.name != _DAEMON:
            break
    return os.geteuid() != 0 and os.access(cgroup, os.W_OK)
