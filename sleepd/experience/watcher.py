"""Tells that a buffer may have changed, and nothing else: an event only means "look now".

Directories are watched, since a file may not exist yet or be replaced by a rename. Events can be lost (a full
kernel queue, a network file system): whoever uses this also looks now and then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_DELETED,
    EVENT_TYPE_MOVED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_READS = (EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE)  # our own look must not wake us again
STOP_SECONDS = 5.0


class Watcher:
    """Calls ``on_change(path)`` from its own thread when one of ``paths`` may have changed."""

    def __init__(self, paths: Iterable[Path], on_change: Callable[[Path], None]) -> None:
        self._paths = tuple(Path(path) for path in paths)
        self._on_change = on_change
        self._observer: BaseObserver | None = None
        self._watches: dict[Path, ObservedWatch] = {}

    def start(self) -> None:
        """Begin watching; where a directory is missing, its nearest existing parent until it appears."""
        self._observer = Observer()
        self._watch()
        self._observer.start()

    def stop(self) -> None:
        """Stop and wait for the thread. May be called twice, or without start."""
        observer, self._observer = self._observer, None
        self._watches = {}
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join(STOP_SECONDS)

    def _watch(self) -> None:
        """Watch what exists of every path's directory."""
        observer = self._observer
        if observer is None:
            return
        wanted: defaultdict[Path, set[Path]] = defaultdict(set)
        for path in self._paths:
            wanted[_nearest(path)].add(path)
        for directory in set(self._watches) - set(wanted):
            self._drop(observer, directory)
        for directory, paths in wanted.items():
            if directory not in self._watches:
                try:
                    self._watches[directory] = observer.schedule(_Handler(self, directory, paths), str(directory))
                except OSError:
                    continue  # it went away, or the kernel has no watch left: the periodic look still finds changes

    def seen(self, directory: Path, paths: set[Path], event: FileSystemEvent) -> None:
        """An event in a watched directory."""
        if event.event_type in _READS:
            return
        touched = {Path(str(name)) for name in (event.src_path, event.dest_path) if name}
        missing = {path for path in paths if path.parent != directory}
        for path in paths:
            if path in touched or any(path.is_relative_to(name) for name in touched if path in missing):
                self._on_change(path)
        gone = directory in touched and event.event_type in (EVENT_TYPE_DELETED, EVENT_TYPE_MOVED)
        if gone and self._observer is not None:
            self._drop(self._observer, directory)
        if gone or any(_nearest(path) != directory for path in missing):
            self._watch()

    def _drop(self, observer: BaseObserver, directory: Path) -> None:
        watch = self._watches.pop(directory, None)
        if watch is not None:
            observer.unschedule(watch)


class _Handler(FileSystemEventHandler):
    def __init__(self, watcher: Watcher, directory: Path, paths: set[Path]) -> None:
        self._watcher = watcher
        self._directory = directory
        self._paths = paths

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._watcher.seen(self._directory, self._paths, event)


def _nearest(path: Path) -> Path:
    """The directory of ``path``, or its nearest parent that exists."""
    return next((parent for parent in path.absolute().parents if parent.is_dir()), Path("/"))
