"""The watcher says "look now" for every way in which a buffer may change, and survives missing directories."""

from __future__ import annotations

import queue
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sleepd.experience.watcher import Watcher

DEADLINE = 5.0
Watch = Callable[..., "queue.Queue[Path]"]


@pytest.fixture
def watch() -> Iterator[Watch]:
    watchers: list[Watcher] = []

    def start(*paths: Path) -> queue.Queue[Path]:
        changes: queue.Queue[Path] = queue.Queue()
        watcher = Watcher(paths, changes.put)
        watcher.start()
        watchers.append(watcher)
        return changes

    yield start
    for watcher in watchers:
        watcher.stop()


def drain(changes: queue.Queue[Path]) -> None:
    """Until nothing has come for a moment."""
    try:
        while True:
            changes.get(timeout=0.2)
    except queue.Empty:
        return


def test_creating_rewriting_and_replacing_a_buffer_is_told(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "buffer.json"
    changes = watch(path)
    path.write_text("[]")
    assert changes.get(timeout=DEADLINE) == path
    drain(changes)
    with path.open("a") as handle:
        handle.write(" ")
    assert changes.get(timeout=DEADLINE) == path
    drain(changes)
    other = tmp_path / "temporary"
    other.write_text("[]")
    other.rename(path)
    assert changes.get(timeout=DEADLINE) == path
    drain(changes)
    path.unlink()
    assert changes.get(timeout=DEADLINE) == path


def test_other_files_and_our_own_reading_are_not_told(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "buffer.json"
    path.write_text("[]")
    changes = watch(path)
    (tmp_path / "other.json").write_text("[]")
    path.read_text()
    with pytest.raises(queue.Empty):
        changes.get(timeout=0.5)


def test_each_of_several_buffers_is_told_by_its_name(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "b").mkdir()
    paths = [tmp_path / "one.json", tmp_path / "two.json", tmp_path / "b" / "three.json"]
    changes = watch(*paths)
    for path in paths:
        path.write_text("[]")
        assert changes.get(timeout=DEADLINE) == path
        drain(changes)


def test_a_directory_that_appears_later_is_watched_then(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "state" / "deep" / "buffer.json"
    changes = watch(path)
    path.parent.mkdir(parents=True)
    assert changes.get(timeout=DEADLINE) == path, "something of its way appeared"
    drain(changes)
    path.write_text("[]")
    assert changes.get(timeout=DEADLINE) == path


def test_a_directory_that_vanishes_and_returns_is_watched_again(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "state" / "buffer.json"
    path.parent.mkdir()
    path.write_text("[]")
    changes = watch(path)
    shutil.rmtree(path.parent)
    assert changes.get(timeout=DEADLINE) == path
    drain(changes)
    path.parent.mkdir()
    drain(changes)
    path.write_text("[]")
    assert changes.get(timeout=DEADLINE) == path


def test_a_relative_path_is_told_by_its_own_name(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = watch(Path("buffer.json"))
    (tmp_path / "buffer.json").write_text("[]")
    assert changes.get(timeout=DEADLINE) == Path("buffer.json")


def test_stopping_twice_or_without_a_start_is_fine(tmp_path: Path) -> None:
    watcher = Watcher([tmp_path / "buffer.json"], lambda path: None)
    watcher.stop()
    watcher.start()
    watcher.stop()
    watcher.stop()
