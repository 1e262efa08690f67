"""The adapters directory: what is published is complete, never changes, and is found again in the right order."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sleepd import durable
from sleepd.adapter import manifest
from sleepd.adapter.activate import activate, commit
from sleepd.adapter.store import AdapterStore, cycle_id, cycle_number
from sleepd.durable import sha256_file
from sleepd.errors import NotFoundError, StoreError
from sleepd.records import GateCheck, GateReport

Publish = Callable[[int], str]
MakeCandidate = Callable[..., Path]


def test_a_published_cycle_holds_every_file_and_its_hash(store: AdapterStore, publish: Publish) -> None:
    assert publish(7) == "cycle_007"
    directory = store.path("cycle_007")
    assert sorted(f.name for f in directory.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "cycle_results.json",
        "manifest.json",
        "report.json",
        "training_state.json",
    ]
    document = store.manifest("cycle_007")
    assert document["files"] == {
        f.name: {"bytes": f.stat().st_size, "sha256": sha256_file(f)} for f in directory.iterdir() if f.name != "manifest.json"
    }
    assert (document["id"], document["number"], document["card_ids"]) == ("cycle_007", 7, ["c1"])
    assert store.sha256("cycle_007") == sha256_file(directory / "adapter_model.safetensors")
    store.integrity("cycle_007")


def test_files_can_be_read_by_the_group_of_the_inference_service(store: AdapterStore, publish: Publish) -> None:
    directory = store.path(publish(1))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o750
    assert {stat.S_IMODE(f.stat().st_mode) for f in directory.iterdir()} == {0o640}


def test_the_manifest_is_the_last_file_written(store: AdapterStore, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    rename = durable.operations.rename

    def record(old: str, new: str) -> None:
        written.append(Path(new).name)
        rename(old, new)

    monkeypatch.setattr(durable.operations, "rename", record)
    publish(1)
    assert written[-2:] == ["manifest.json", "cycle_001"]
    assert "manifest.json" not in written[:-2]


def test_numbers_are_in_numeric_order_and_foreign_entries_do_not_count(store: AdapterStore, publish: Publish) -> None:
    assert store.numbers() == []
    assert store.next_number() == 1
    for number in (1000, 2, 999):
        publish(number)
    for name in ("cycle_0003", "cycle_x", "staging", "cycle_5"):
        (store.root / name).mkdir(exist_ok=True)
    activate(store, "cycle_999")
    assert store.numbers() == [2, 999, 1000]
    assert store.next_number() == 1001
    assert store.next_number(floor=1500) == 1501


def test_cycle_names_have_one_form_only() -> None:
    assert [cycle_id(n) for n in (1, 999, 1000)] == ["cycle_001", "cycle_999", "cycle_1000"]
    assert [cycle_number(n) for n in ("cycle_001", "cycle_1000", "cycle_01", "cycle_0001", "../cycle_001", "base")] == [
        1,
        1000,
        *[None] * 4,
    ]


def test_publishing_again_after_a_crash_changes_nothing(store: AdapterStore, publish: Publish, tmp_path: Path) -> None:
    publish(3)
    before = (store.path("cycle_003") / "manifest.json").stat().st_mtime_ns
    (tmp_path / "candidate-3").rename(tmp_path / "kept")
    publish(3)
    assert (store.path("cycle_003") / "manifest.json").stat().st_mtime_ns == before


def test_a_number_that_holds_another_adapter_is_not_overwritten(
    store: AdapterStore,
    publish: Publish,
    make_candidate: MakeCandidate,
    documents: dict[str, object],
    make_provenance: Callable[[str], dict[str, object]],
) -> None:
    publish(3)
    other = make_candidate("other", fill=77)
    with pytest.raises(StoreError, match="another adapter"):
        store.publish(3, other, documents, "", make_provenance(sha256_file(other / "adapter_model.safetensors")))


def test_a_candidate_that_changed_after_the_gate_is_not_published(
    store: AdapterStore, make_candidate: MakeCandidate, documents: dict[str, object], make_provenance: Callable[[str], dict[str, object]]
) -> None:
    with pytest.raises(StoreError, match="the result says ffffffff"):
        store.publish(1, make_candidate(), documents, "", make_provenance("f" * 64))
    assert store.numbers() == []


def test_an_incomplete_cycle_is_not_published(
    store: AdapterStore, make_candidate: MakeCandidate, documents: dict[str, object], make_provenance: Callable[[str], dict[str, object]]
) -> None:
    directory = make_candidate()
    whole = make_provenance(sha256_file(directory / "adapter_model.safetensors"))
    del documents["report.json"]
    with pytest.raises(StoreError, match=r"report\.json"):
        store.publish(1, directory, documents, "", whole)
    del whole["versions"]
    with pytest.raises(StoreError, match="versions"):
        store.publish(1, directory, {**documents, "report.json": {}}, "", whole)


def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, make_candidate: MakeCandidate, documents: dict[str, object], make_provenance: Callable[[str], dict[str, object]]
) -> None:
    store = AdapterStore(tmp_path / "adapters", free=lambda _: 2_000_000)
    directory = make_candidate()
    with pytest.raises(StoreError, match=r"has 1\.9 MB free; .* 16 MB of reserve") as caught:
        store.publish(1, directory, documents, "", make_provenance(sha256_file(directory / "adapter_model.safetensors")))
    assert "adapters.keep" in caught.value.remedy
    assert store.numbers() == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "pickle"])
def test_integrity_notices_damage(store: AdapterStore, publish: Publish, damage: str) -> None:
    directory = store.path(publish(1))
    file = directory / "adapter_model.safetensors"
    content = file.read_bytes()
    if damage == "flip":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "truncate":
        file.write_bytes(content[:-1])
    elif damage == "remove":
        file.unlink()
    else:
        (directory / "adapter_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(StoreError) as caught:
        store.integrity("cycle_001")
    assert "adapter_model" in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"id": "cycle_002", "files": {}}', b'{"id": "cycle_001", "files": {"adapter_model.safetensors": 3}}']
)
def test_a_damaged_manifest_is_an_error_and_not_a_cycle(store: AdapterStore, publish: Publish, content: bytes) -> None:
    (store.path(publish(1)) / "manifest.json").write_bytes(content)
    with pytest.raises(StoreError, match="manifest"):
        store.integrity("cycle_001")


def test_without_links_the_base_model_is_served(store: AdapterStore) -> None:
    assert store.active() is None
    assert store.last_good() is None


@pytest.mark.parametrize("target", ["../elsewhere", "/etc", "cycle_999", "staging/cycle_001", "cycle_02"])
def test_a_link_that_leads_nowhere_sound_is_refused(store: AdapterStore, publish: Publish, target: str) -> None:
    publish(1)
    (store.root / "active").symlink_to(target)
    with pytest.raises(StoreError, match="active") as caught:
        store.active()
    assert "sleepd activate" in caught.value.remedy


def test_a_link_to_an_incomplete_cycle_is_refused(store: AdapterStore, publish: Publish) -> None:
    activate(store, publish(1))
    (store.path("cycle_001") / "adapter_config.json").unlink()
    with pytest.raises(StoreError, match="not complete"):
        store.active()


def test_a_directory_in_the_place_of_a_link_is_refused(store: AdapterStore, publish: Publish) -> None:
    publish(1)
    (store.root / "active").mkdir()
    with pytest.raises(StoreError, match="not a link"):
        store.active()


def test_an_unknown_adapter_is_not_found(store: AdapterStore, publish: Publish) -> None:
    publish(1)
    for name in ("cycle_002", "active", "..", "staging"):
        with pytest.raises(NotFoundError, match="is not in"):
            store.path(name)


def test_a_rejected_candidate_is_kept_with_its_reason(store: AdapterStore, make_candidate: MakeCandidate, tmp_path: Path) -> None:
    kept = store.quarantine(make_candidate(), "cycle_004", "text: +0.2 nat")
    reason = json.loads((kept / "reason.json").read_text())
    assert reason["reason"] == "text: +0.2 nat"
    assert set(reason["files"]) == {"adapter_model.safetensors", "adapter_config.json"}
    assert kept == store.root / "quarantine" / "cycle_004"
    assert store.quarantine(tmp_path / "gone", "cycle_004", "again") == kept
    assert json.loads((kept / "reason.json").read_text())["reason"] == "text: +0.2 nat"
    alone = store.quarantine(tmp_path / "gone", "cycle_005", "no adapter was made")
    assert [f.name for f in alone.iterdir()] == ["reason.json"]
    assert store.numbers() == []


def test_a_quarantine_name_cannot_leave_the_quarantine(store: AdapterStore, make_candidate: MakeCandidate) -> None:
    with pytest.raises(StoreError, match="not a file name"):
        store.quarantine(make_candidate(), "../cycle_001", "x")


def test_cleaning_removes_half_done_work_and_nothing_else(store: AdapterStore, publish: Publish) -> None:
    activate(store, publish(1))
    commit(store, "cycle_001")
    (store.root / "staging" / "cycle_002").mkdir(parents=True)
    (store.root / ".doomed-cycle_000-1").mkdir()
    (store.root / ".active.77").symlink_to("cycle_001")
    assert store.clean_staging() == [".active.77", ".doomed-cycle_000-1", "cycle_002"]
    assert store.active() == store.last_good() == "cycle_001"
    assert store.clean_staging() == []


def test_pruning_keeps_the_newest_the_links_and_what_has_a_tag(store: AdapterStore, publish: Publish) -> None:
    for number in (1, 2, 3, 4, 5, 998, 999, 1000):
        publish(number)
    activate(store, "cycle_002")
    commit(store, "cycle_001")
    assert store.prune(keep=4, protected={"cycle_003"}) == ["cycle_004"]
    assert store.numbers() == [1, 2, 3, 5, 998, 999, 1000]
    assert store.prune(keep=0, protected=set()) == ["cycle_003", "cycle_005"]
    assert store.numbers() == [1, 2, 998, 999, 1000]
    for number in store.numbers():
        store.integrity(cycle_id(number))


def test_pruning_bounds_the_quarantine_too(store: AdapterStore, make_candidate: MakeCandidate) -> None:
    source = make_candidate()
    for number in (8, 9, 10, 11, 12):
        store.quarantine(source, f"cycle_{number:03d}", "rejected")
    assert store.prune(keep=4, protected=set()) == ["quarantine/cycle_008"]


def test_pruning_leaves_directories_that_are_not_ours(store: AdapterStore, publish: Publish) -> None:
    (store.root / "cycle_000").mkdir(parents=True)
    for number in range(1, 6):
        publish(number)
    assert store.prune(keep=3, protected=set()) == ["cycle_001", "cycle_002"]
    assert (store.root / "cycle_000").is_dir()


def test_pruning_removes_nothing_while_a_link_is_broken(store: AdapterStore, publish: Publish) -> None:
    for number in range(1, 6):
        publish(number)
    (store.root / "active").symlink_to("cycle_077")
    with pytest.raises(StoreError, match="cycle_077"):
        store.prune(keep=3, protected=set())
    assert store.numbers() == [1, 2, 3, 4, 5]


def test_the_manifest_tells_where_an_adapter_came_from() -> None:
    job = {"id": "j1", "kind": "light", "model": {"path": "m", "sha256": "b"}, "seed": 5}
    result = {"adapter": {"sha256": "a"}, "experiences_used": ["e"], "cards_used": ["c"], "versions": {"peft": "1"}}
    report = GateReport((GateCheck("text", True, "fine", {"rise": 0.001}),))
    composed = manifest.compose(job, result, report, "2026-01-01T00:00:00+00:00")
    assert set(manifest.REQUIRED) <= set(composed)
    assert composed["gate"] == {
        "accepted": True,
        "reasons": [],
        "checks": [{"name": "text", "ok": True, "detail": "fine", "numbers": {"rise": 0.001}}],
    }
