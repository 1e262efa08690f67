from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from sleepd.daemon.buffers import TORN_PATIENCE, Buffers


@dataclass
class Read:
    torn: bool = False
    error: str | None = None


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def buffer(tmp_path: Path) -> Path:
    path = tmp_path / "buffer.json"
    path.write_text("[]")
    return path


def make(path: Path, clock: Clock, wall: float | None = None) -> Buffers:
    return Buffers([path], 1.0, clock, lambda: path.stat().st_mtime if wall is None else wall)


def test_a_changed_buffer_is_read_once_it_has_been_quiet(buffer: Path) -> None:
    clock = Clock()
    buffers = make(buffer, clock)
    buffers.look()
    assert buffers.ready() == [] and buffers.wait_seconds() == pytest.approx(1.0)
    clock.now += 1.0
    assert buffers.ready() == [buffer]
    buffers.was_read(buffer, Read())
    buffers.look()
    assert buffers.ready() == [] and buffers.wait_seconds() is None


def test_a_buffer_that_is_still_being_written_is_left_alone(buffer: Path) -> None:
    clock = Clock()
    buffers = make(buffer, clock)
    for n in range(4):
        buffer.write_text("x" * n)
        buffers.look()
        clock.now += 0.6
        assert buffers.ready() == []
    clock.now += 0.4
    assert buffers.ready() == [buffer]


def test_an_old_buffer_found_at_start_is_read_at_once_and_its_age_counts_as_quiet(buffer: Path) -> None:
    clock = Clock()
    buffers = make(buffer, clock, wall=buffer.stat().st_mtime + 1200)
    buffers.look()
    assert buffers.ready() == [buffer]
    assert buffers.quiet_minutes() == pytest.approx(20)


def test_a_file_time_in_the_future_counts_from_when_it_was_seen(buffer: Path) -> None:
    clock = Clock()
    buffers = make(buffer, clock, wall=buffer.stat().st_mtime - 5000)
    buffers.look()
    assert buffers.quiet_minutes() == 0
    clock.now += 120
    assert buffers.quiet_minutes() == pytest.approx(2)


def test_a_replaced_file_is_a_change_though_size_and_time_are_the_same(buffer: Path) -> None:
    clock = Clock()
    buffers = make(buffer, clock)
    buffers.look()
    buffers.was_read(buffer, Read())
    status = buffer.stat()
    other = buffer.with_name("other")
    other.write_text("[]")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(buffer)
    buffers.look()
    assert buffers.changed() == [buffer]


def test_a_torn_read_is_tried_again_and_becomes_an_error_only_when_it_persists(buffer: Path) -> None:
    clock = Clock()
    buffers = make(buffer, clock)
    buffers.look()
    for attempt in range(1, TORN_PATIENCE + 1):
        clock.now += 60
        assert buffers.ready() == [buffer]
        buffers.was_read(buffer, Read(torn=True, error="it ends inside an entry"))
        assert bool(buffers.errors()) == (attempt == TORN_PATIENCE)
    assert buffers.ready() == []
    buffer.write_text("[ ]")
    buffers.look()
    clock.now += 5
    buffers.was_read(buffers.ready()[0], Read())
    assert buffers.errors() == []


def test_a_buffer_that_vanishes_is_told_and_welcomed_back(buffer: Path) -> None:
    clock = Clock()
    buffers = make(buffer, clock, wall=buffer.stat().st_mtime)
    buffers.look()
    buffers.was_read(buffer, Read())
    buffer.unlink()
    buffers.look()
    assert buffers.errors() == [f"buffer {buffer} has vanished"]
    buffer.write_text("[]")
    buffers.look()
    clock.now += 2
    buffers.was_read(buffers.ready()[0], Read())
    assert buffers.errors() == []


def test_a_buffer_that_never_was_is_no_error(tmp_path: Path) -> None:
    buffers = Buffers([tmp_path / "none.json"], 1.0, Clock(), lambda: 0.0)
    buffers.look()
    assert buffers.errors() == [] and buffers.quiet_minutes() is None
