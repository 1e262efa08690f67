"""The pool of what is rehearsed: made once, growing over the first nights, with the same prompts held out on all of them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from sleepd.lab import own_items
from sleepd.night.chat import ChatFormat
from sleepd.night.pool import BY_HEART, load_or_build
from sleepd.night.rehearsal import self_made_prompts

COUNT = 160


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pool")


def test_it_grows_for_four_nights_and_what_is_held_out_stays(base: tuple[Any, ChatFormat], folder: Path) -> None:
    nights = [load_or_build(*base, folder, "a" * 64, COUNT, 512, cycle=cycle) for cycle in (1, 2, 5, 9)]
    sizes = [len(pool.train) for pool in nights]
    assert COUNT / 4 < sizes[0] < sizes[1] < sizes[2] == sizes[3] <= COUNT
    held_out = [r.prompt for r in nights[0].held_out]
    assert len(held_out) == COUNT // 16
    for pool in nights:
        prompts = [r.prompt for r in pool.train if r.prompt]
        assert [r.prompt for r in pool.held_out] == held_out
        assert len(set(prompts)) == len(prompts) and not set(prompts) & set(held_out)
    assert [r.item.ids for r in nights[1].train[: sizes[0]]] == [r.item.ids for r in nights[0].train]


def test_what_was_made_is_read_and_not_made_again(base: tuple[Any, ChatFormat], folder: Path) -> None:
    load_or_build(*base, folder, "a" * 64, COUNT, 512)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file()}
    assert before
    load_or_build(*base, folder, "a" * 64, COUNT, 512)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file()} == before


def test_pools_that_no_night_has_read_for_long_go_when_a_new_one_is_made(base: tuple[Any, ChatFormat], tmp_path: Path) -> None:
    load_or_build(*base, tmp_path, "a" * 64, COUNT, 512, cycle=1)
    [used] = tmp_path.iterdir()
    long_ago = time.time() - 31 * 86400
    unused = [tmp_path / name for name in ("rehearsal-of-another-base-0", ".rehearsal-half-written", "somebody-else-s")]
    for path in unused:
        path.mkdir()
        (path / "pool.json").write_text("[]")
    for path in (used, *unused):
        os.utime(path, (long_ago, long_ago))
    load_or_build(*base, tmp_path, "a" * 64, COUNT, 512, cycle=1)
    assert all(path.exists() for path in unused), "nothing new was made"
    load_or_build(*base, tmp_path, "a" * 64, COUNT, 512, cycle=2)
    assert [path.exists() for path in unused] == [False, False, True] and used.exists()


def test_a_grown_pool_does_not_depend_on_the_night_that_made_it(base: tuple[Any, ChatFormat], folder: Path, tmp_path: Path) -> None:
    at_once = load_or_build(*base, tmp_path, "a" * 64, COUNT, 512, cycle=5)
    step_by_step = load_or_build(*base, folder, "a" * 64, COUNT, 512, cycle=5)
    assert [r.item.ids for r in at_once.train] == [r.item.ids for r in step_by_step.train]


def test_what_it_grows_by_is_what_the_base_knows_by_heart(base: tuple[Any, ChatFormat]) -> None:
    known = {item.question for item in own_items.own_items("general")}
    tries = [{*self_made_prompts(*base, 384, 7, lambda: None, temperature)} & known for temperature in (1.0, BY_HEART)]
    assert len(tries[1]) > 2 * len(tries[0])
