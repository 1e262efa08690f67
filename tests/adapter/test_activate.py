"""Which adapter is in service, and where to go back to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sleepd.adapter.activate import activate, commit, rollback_target
from sleepd.adapter.store import AdapterStore
from sleepd.errors import NotFoundError, StoreError

Publish = Callable[[int], str]


def test_activating_returns_what_was_active_and_leaves_last_good(store: AdapterStore, publish: Publish) -> None:
    publish(1), publish(2)
    assert activate(store, "cycle_001") is None
    commit(store, "cycle_001")
    assert activate(store, "cycle_002") == "cycle_001"
    assert (store.active(), store.last_good()) == ("cycle_002", "cycle_001")
    assert (store.root / "active").readlink() == Path("cycle_002")
    assert activate(store, "cycle_002") == "cycle_002"
    assert activate(store, None) == "cycle_002"
    assert activate(store, None) is None
    assert (store.active(), store.last_good()) == (None, "cycle_001")
    assert (store.root / "cycle_002").is_dir()


def test_a_damaged_or_missing_adapter_is_not_activated(store: AdapterStore, publish: Publish) -> None:
    publish(1), publish(2)
    activate(store, "cycle_001")
    weights = store.path("cycle_002") / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    with pytest.raises(StoreError, match="changed"):
        activate(store, "cycle_002")
    with pytest.raises(StoreError, match="changed"):
        commit(store, "cycle_002")
    with pytest.raises(NotFoundError):
        activate(store, "cycle_003")
    assert (store.active(), store.last_good()) == ("cycle_001", None)


def test_a_broken_link_is_repaired_by_activating(store: AdapterStore, publish: Publish) -> None:
    publish(1)
    (store.root / "active").symlink_to("cycle_009")
    assert activate(store, "cycle_001") is None
    assert store.active() == "cycle_001"
    (store.root / "last_good").symlink_to("cycle_009")
    commit(store, None)
    assert store.last_good() is None


def test_an_unverified_adapter_goes_back_to_the_last_good_one(store: AdapterStore, publish: Publish) -> None:
    for number in (1, 2, 3):
        publish(number)
    activate(store, "cycle_003")
    assert rollback_target(store) is None
    commit(store, "cycle_001")
    assert rollback_target(store, ["cycle_001", "cycle_002"]) == "cycle_001"


def test_a_committed_adapter_goes_back_to_the_committed_one_before_it(store: AdapterStore, publish: Publish) -> None:
    for number in (1, 2, 999, 1000):
        publish(number)
    activate(store, "cycle_1000")
    commit(store, "cycle_1000")
    assert rollback_target(store) is None
    assert rollback_target(store, ["cycle_1000", "cycle_002", "cycle_001"]) == "cycle_002"
    assert rollback_target(store, ["cycle_999", "cycle_002"]) == "cycle_999"
    (store.path("cycle_999") / "adapter_config.json").unlink()
    assert rollback_target(store, ["cycle_999", "cycle_002"]) == "cycle_002"


def test_a_damaged_last_good_is_passed_over(store: AdapterStore, publish: Publish) -> None:
    for number in (1, 2, 3):
        publish(number)
    activate(store, "cycle_003")
    commit(store, "cycle_002")
    (store.path("cycle_002") / "README.md").write_text("changed")
    assert rollback_target(store, ["cycle_001", "cycle_002"]) == "cycle_001"
