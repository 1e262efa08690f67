"""Power is lost at any system call of publish, activate and commit: the old adapter or the new, never neither.

A crash is an exception that no code handles, raised instead of one system call or after it.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from sleepd import durable
from sleepd.adapter.activate import activate, commit, rollback_target
from sleepd.adapter.store import DOCUMENTS, AdapterStore
from sleepd.durable import sha256_file
from sleepd.errors import StoreError

CALLS = ("fsync", "rename", "symlink", "write")


class PowerLossError(BaseException):
    """Nothing runs after it."""


class Breaker:
    """Counts the system calls of durable.operations and breaks one of them, before or after it is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done, self.break_at, self.after = 0, -1, False
        self.error: BaseException = PowerLossError()
        for name in CALLS:
            monkeypatch.setattr(durable.operations, name, self._wrapped(getattr(durable.operations, name)))

    def _wrapped(self, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object) -> object:
            self.done += 1
            if self.done == self.break_at and not self.after:
                raise self.error
            value = call(*arguments)
            if self.done == self.break_at:
                raise self.error
            return value

        return wrapped

    def count(self, work: Callable[[], object]) -> int:
        self.done, self.break_at = 0, -1
        work()
        return self.done

    def broken(self, work: Callable[[], object], at: int, after: bool, error: BaseException) -> None:
        """Run ``work`` and break it at its call number ``at``."""
        self.done, self.break_at, self.after, self.error = 0, at, after, error
        with pytest.raises((PowerLossError, StoreError, OSError)):
            work()
        self.break_at = -1


@pytest.fixture
def breaker(monkeypatch: pytest.MonkeyPatch) -> Breaker:
    return Breaker(monkeypatch)


def _candidate(directory: Path, fill: int) -> Path:
    directory.mkdir(parents=True)
    header = json.dumps({"lora_A": {"dtype": "U8", "shape": [16], "data_offsets": [0, 16]}}).encode()
    (directory / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes([fill]) * 16)
    (directory / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "bias": "none"}))
    return directory


def _publish(store: AdapterStore, number: int, candidate: Path) -> str:
    keys = ("base", "experience_ids", "card_ids", "seeds", "versions", "gate")
    provenance = {**dict.fromkeys(keys, ""), "adapter_sha256": sha256_file(candidate / "adapter_model.safetensors")}
    return store.publish(number, candidate, {name: {} for name in DOCUMENTS}, "card", provenance)


def _ways(total: int) -> Iterator[tuple[int, bool]]:
    return ((at, after) for at in range(1, total + 1) for after in (False, True))


def _two(root: Path) -> AdapterStore:
    """Cycle 1 is in service and committed; cycle 2 is published."""
    store = AdapterStore(root / "adapters")
    for number in (1, 2):
        _publish(store, number, _candidate(root / f"candidate{number}", number))
    activate(store, "cycle_001")
    commit(store, "cycle_001")
    return store


def test_a_crash_anywhere_in_publish_leaves_a_whole_cycle_or_none(tmp_path: Path, breaker: Breaker) -> None:
    total = breaker.count(partial(_publish, AdapterStore(tmp_path / "dry"), 1, _candidate(tmp_path / "dry-candidate", 1)))
    assert total > 20
    for at, after in _ways(total):
        root = tmp_path / f"{at}-{after}"
        candidate = _candidate(root / "candidate", 1)
        store = AdapterStore(root / "adapters")
        breaker.broken(partial(_publish, store, 1, candidate), at, after, PowerLossError())
        for number in store.numbers():
            store.integrity(f"cycle_{number:03d}")
        store.clean_staging()
        assert _publish(store, 1, candidate) == "cycle_001"
        store.integrity("cycle_001")
        assert list((store.root / "staging").iterdir()) == []


@pytest.mark.parametrize("error", [PowerLossError(), OSError(errno.EIO, "I/O error"), OSError(errno.ENOSPC, "No space left on device")])
def test_a_crash_anywhere_in_activate_leaves_the_old_adapter_or_the_new(tmp_path: Path, breaker: Breaker, error: BaseException) -> None:
    total = breaker.count(partial(activate, _two(tmp_path / "dry"), "cycle_002"))
    assert total >= 3
    for at, after in _ways(total):
        store = _two(tmp_path / f"{at}-{after}")
        breaker.broken(partial(activate, store, "cycle_002"), at, after, error)
        again = AdapterStore(store.root)
        again.clean_staging()
        found = again.active()
        assert found in ("cycle_001", "cycle_002")
        again.integrity(found)
        assert again.last_good() == "cycle_001"
        if found == "cycle_002":
            assert rollback_target(again) == "cycle_001"
        activate(again, "cycle_002")
        assert again.active() == "cycle_002"


def test_a_crash_anywhere_in_commit_leaves_the_old_last_good_or_the_new(tmp_path: Path, breaker: Breaker) -> None:
    def ready(root: Path) -> AdapterStore:
        store = _two(root)
        activate(store, "cycle_002")
        return store

    total = breaker.count(partial(commit, ready(tmp_path / "dry"), "cycle_002"))
    for at, after in _ways(total):
        store = ready(tmp_path / f"{at}-{after}")
        breaker.broken(partial(commit, store, "cycle_002"), at, after, PowerLossError())
        assert store.last_good() in ("cycle_001", "cycle_002")
        assert store.active() == "cycle_002"
        store.clean_staging()
        commit(store, "cycle_002")
        assert store.last_good() == "cycle_002"


def test_a_crash_anywhere_in_going_back_to_the_base_is_repeatable(tmp_path: Path, breaker: Breaker) -> None:
    total = breaker.count(partial(activate, _two(tmp_path / "dry"), None))
    for at, after in _ways(total):
        store = _two(tmp_path / f"{at}-{after}")
        breaker.broken(partial(activate, store, None), at, after, PowerLossError())
        assert store.active() in ("cycle_001", None)
        activate(store, None)
        assert store.active() is None


def test_a_crash_anywhere_in_prune_leaves_every_cycle_whole_or_gone(tmp_path: Path, breaker: Breaker) -> None:
    def five(root: Path) -> AdapterStore:
        store = _two(root)
        for number in (3, 4, 5, 6):
            _publish(store, number, _candidate(root / f"candidate{number}", number))
        return store

    total = breaker.count(partial(five(tmp_path / "dry").prune, 3, set()))
    for at, after in _ways(total):
        store = five(tmp_path / f"{at}-{after}")
        breaker.broken(partial(store.prune, 3, set()), at, after, PowerLossError())
        for number in store.numbers():
            store.integrity(f"cycle_{number:03d}")
        store.clean_staging()
        store.prune(3, set())
        assert store.numbers() == [1, 4, 5, 6]
        assert not [entry for entry in store.root.iterdir() if entry.name.startswith(".")]


def test_a_failed_fsync_is_an_error_of_the_step_and_names_the_disk(tmp_path: Path, breaker: Breaker) -> None:
    candidate = _candidate(tmp_path / "candidate", 1)
    store = AdapterStore(tmp_path / "adapters")
    breaker.done, breaker.break_at, breaker.error = 0, 2, OSError(errno.EIO, "Input/output error")
    with pytest.raises(StoreError, match="Input/output error") as caught:
        _publish(store, 1, candidate)
    assert "check the disk" in caught.value.remedy
    assert store.numbers() == []
