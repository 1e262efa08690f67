"""Files that survive a crash: the only place that renames and fsyncs.

Every public call is complete and on disk when it returns, or raises StoreError and leaves the old state
or the new one, whole; which of the two is certain only until the rename. The order is always: write
beside, fsync the file, rename over, fsync the directory. An fsync error is an error of the step.
``operations`` is the seam through which tests record the order and inject faults.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sleepd.errors import StoreError

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750


@dataclass
class Operations:
    """The system calls that matter for durability, replaceable one by one in tests."""

    fsync: Callable[[int], None] = os.fsync
    rename: Callable[[str, str], None] = os.rename
    symlink: Callable[[str, str], None] = os.symlink
    write: Callable[[int, bytes], int] = os.write


operations = Operations()


def fsync_dir(path: Path) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        operations.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        operations.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[operations.write(descriptor, bytes(view)) :]


def write_atomic(path: Path, data: bytes | str, mode: int = FILE_MODE) -> None:
    """Replace ``path`` with ``data``: readers see the old content or the new, never a mixture."""
    payload = data.encode() if isinstance(data, str) else data
    with _explained(path):
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            try:
                os.fchmod(descriptor, mode)
                _write_all(descriptor, payload)
                operations.fsync(descriptor)
            finally:
                os.close(descriptor)
            operations.rename(temporary, str(path))
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        fsync_dir(path.parent)


def write_json(path: Path, value: Any, mode: int = FILE_MODE) -> None:
    """Write JSON with sorted keys, durably."""
    write_atomic(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", mode)


def publish_dir(staging: Path, target: Path) -> None:
    """Move a finished directory into place. ``target`` must not exist; afterwards it never changes.

    Both must lie on one file system. Every file and directory in ``staging`` is made durable first.
    """
    if target.exists():
        raise StoreError(f"{target} exists already", "a published directory never changes; choose the next number")
    with _explained(target):
        for root, _, files in os.walk(staging, topdown=False):
            for name in files:
                os.chmod(Path(root, name), FILE_MODE)
                fsync_file(Path(root, name))
            os.chmod(root, DIRECTORY_MODE)
            fsync_dir(Path(root))
        operations.rename(str(staging), str(target))
        fsync_dir(target.parent)
        if staging.parent != target.parent:
            fsync_dir(staging.parent)


def swap_symlink(link: Path, target: str) -> None:
    """Point ``link`` at ``target`` (a name relative to the link's directory) in one rename."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    with _explained(link):
        temporary.unlink(missing_ok=True)
        try:
            operations.symlink(target, str(temporary))
            operations.rename(str(temporary), str(link))
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        fsync_dir(link.parent)


def remove_symlink(link: Path) -> None:
    """Remove a link, durably; a missing one is fine."""
    with _explained(link):
        link.unlink(missing_ok=True)
        fsync_dir(link.parent)


def remove_dir(path: Path) -> None:
    """Remove a directory so that a crash leaves it whole under its name or under a hidden one."""
    if not path.exists():
        return
    doomed = path.with_name(f".doomed-{path.name}-{os.getpid()}")
    with _explained(path):
        operations.rename(str(path), str(doomed))
        fsync_dir(path.parent)
        shutil.rmtree(doomed)


def sha256_file(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Every failing system call becomes one error that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        remedies = {
            errno.ENOSPC: f"free some space on the file system of {path.parent}",
            errno.EDQUOT: f"raise the quota on the file system of {path.parent}",
            errno.EROFS: f"mount the file system of {path.parent} read-write",
            errno.EACCES: f"give this user write access to {path.parent}",
            errno.EIO: "check the disk: the kernel could not make the data durable",
        }
        remedy = remedies.get(error.errno or 0, f"check {path.parent}")
        raise StoreError(f"cannot write {path}: {error.strerror or error}", remedy) from error
