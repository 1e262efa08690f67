"""Reading and adding to a buffer file for its writer: under a lock, whole or not at all, in the form it has.

Adding to JSONL appends a line; adding to a list or an object splices the entry in before the closing bracket
and replaces the file, without parsing what is already there.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sleepd import durable
from sleepd.errors import BufferError, StoreError
from sleepd.experience.entries import known_as
from sleepd.experience.reader import MAX_BYTES, open_buffer
from sleepd.experience.scan import Form, Scan

_INDENT = 2
_LOOK = 4096
_LOCK_MODE = 0o660


class BufferFile:
    """A buffer that this process and others write. ``path`` need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path.with_name(f".{path.name}.lock")
        self._known: set[str] = set()
        self._seen: tuple[int, int, int] | None = None

    def entries(self) -> Iterator[dict[str, Any]]:
        """All entries that are objects, in their order. Raises BufferError."""
        return (value for value in self._values() if isinstance(value, dict))

    def append(self, entry: dict[str, Any]) -> bool:
        """Add an entry; False when the buffer holds its id already. Raises BufferError, StoreError."""
        with self._locked():
            if entry["id"] in self._ids():
                return False
            form = self._form()
            if form == "jsonl":
                self._append_line(entry)
            else:
                target = Path(os.path.realpath(self.path))  # a link to a buffer stays a link
                durable.write_atomic(target, self._with(entry, form), _mode(target))
            self._known.add(entry["id"])
            self._seen = self._stamp()
        return True

    def _values(self) -> Iterator[object]:
        if self._form() is None:
            return
        with open_buffer(self.path, MAX_BYTES) as handle:
            scan = Scan(handle, str(self.path))
            yield from (raw.value for raw in scan if not raw.error)

    def _form(self) -> Form | None:
        """The form of the file; None when there is none yet, or an empty one."""
        try:
            with self.path.open("rb") as handle:
                if not handle.read(_LOOK).strip():
                    return None
                return Scan(handle, str(self.path)).form
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BufferError(f"buffer {self.path} cannot be read: {error.strerror}", f"give this user access to {self.path}") from error

    def _ids(self) -> set[str]:
        """The ids in the file; read again only when another writer changed it."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._known = {found for value in self._values() if (found := known_as(value))}
            self._seen = stamp
        return self._known

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_size, status.st_mtime_ns, status.st_ino

    def _with(self, entry: dict[str, Any], form: Form | None) -> bytes:
        """The document with the entry added. A list keeps every byte that it had before its last bracket."""
        if form is None:
            return f"[\n{_indented(entry)}\n]\n".encode()
        raw = self.path.read_bytes()
        if form == "dict":
            document = json.loads(raw.decode("utf-8-sig"))
            document["experiences"].append(entry)
            return (json.dumps(document, indent=_INDENT) + "\n").encode()
        body = raw.rstrip()[:-1].rstrip()
        comma = b"" if body.endswith(b"[") else b","
        if b"\n" in raw.strip() or not comma:
            return body + comma + f"\n{_indented(entry)}\n]\n".encode()
        return body + comma + f" {json.dumps(entry)}]".encode()

    def _append_line(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        try:
            with self.path.open("r+b") as handle:
                handle.seek(-1, os.SEEK_END)
                if handle.read(1) != b"\n":
                    line = b"\n" + line  # a line that was cut short stays alone
                handle.seek(0, os.SEEK_END)
                handle.write(line)
            durable.fsync_file(self.path)
        except OSError as error:
            raise StoreError(
                f"cannot write buffer {self.path}: {error.strerror}", f"check the disk and the rights of {self.path}"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all who use this class, in any process or thread."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _LOCK_MODE)
        except OSError as error:
            raise StoreError(
                f"cannot lock buffer {self.path}: {error.strerror}", f"give this user write access to {self.path.parent}"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _indented(entry: dict[str, Any]) -> str:
    return "\n".join(" " * _INDENT + line for line in json.dumps(entry, indent=_INDENT).split("\n"))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else durable.FILE_MODE
