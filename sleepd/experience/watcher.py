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
    EVENT_TYPE_CREATED,
    EVENT_TYPE_DELETED,
    EVENT_TYPE_MOVED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

_READS = (EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE)  # our own look must not wake us again
_COMING_AND_GOING = (EVENT_TYPE_CREATED, EVENT_TYPE_DELETED, EVENT_TYPE_MOVED)
STOP_SECONDS = 5.0


class Watcher:
    """Calls ``on_change(path)`` from its own thread when one of ``paths`` may have changed."""

    def __init__(self, paths: Iterable[Path], on_change: Callable[[Path], None]) -> None:
        self._paths = {Path(path).absolute(): path for path in paths}  # told by the names we were given
        self._on_change = on_change
        self._observer: BaseObserver | None = None
        self._watches: dict[Path, ObservedWatch] = {}

    def start(self) -> None:
        """Begin watching; where a directory is missing, its nearest existing parent until it appears."""
        self._observer = Observer()
        self._observer.start()  # first, so that a directory that cannot be watched fails alone
        self._watch(announce=False)  # an event during this may watch a directory too; watching it twice is watching it once

    def stop(self) -> None:
        """Stop and wait for the thread. May be called twice, or without start."""
        observer, self._observer = self._observer, None
        self._watches = {}
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join(STOP_SECONDS)

    def _watch(self, announce: bool) -> None:
        """Watch what exists of every path's directory. ``announce``: what is newly watched may have changed before."""
        observer = self._observer
        tries = max((len(path.parts) for path in self._paths), default=0)
        while observer is not None and tries:
            tries -= 1
            wanted: defaultdict[Path, list[Path]] = defaultdict(list)
            for path, given in self._paths.items():
                wanted[_nearest(path)].append(given)
            if wanted.keys() == self._watches.keys():
                return  # nothing has appeared while we were setting up
            for directory in set(self._watches) - set(wanted):
                self._drop(observer, directory)
            for directory in set(wanted) - set(self._watches):
                try:
                    self._watches[directory] = observer.schedule(_Handler(self, directory), str(directory))
                except OSError:
                    continue  # it went away, or the kernel has no watch left: the periodic look still finds changes
                for path in wanted[directory] if announce else ():
                    self._on_change(path)

    def seen(self, directory: Path, event: FileSystemEvent) -> None:
        """An event in a watched directory."""
        if event.event_type in _READS:
            return
        touched = {Path(str(name)) for name in (event.src_path, event.dest_path) if name}
        moved = event.event_type in _COMING_AND_GOING
        for path, given in self._paths.items():
            if path in touched or (moved and any(path.is_relative_to(name) for name in touched)):
                self._on_change(given)
        if moved and directory in touched and self._observer is not None:
            self._drop(self._observer, directory)  # what has its name now is another directory
        if moved and {_nearest(path) for path in self._paths} != set(self._watches):
            self._watch(announce=True)

    def _drop(self, observer: BaseObserver, directory: Path) -> None:
        watch = self._watches.pop(directory, None)
        if watch is not None:
            observer.unschedule(watch)


class _Handler(FileSystemEventHandler):
    def __init__(self, watcher: Watcher, directory: Path) -> None:
        self._watcher = watcher
        self._directory = directory

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._watcher.seen(self._directory, event)


def _nearest(path: Path) -> Path:
    """The directory of ``path``, or its nearest parent that exists."""
    return next((parent for parent in path.absolute().parents if parent.is_dir()), Path("/"))
