from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sleepd.errors import StoreError
from sleepd.ledger import Ledger
from sleepd.ledger.exports import HISTORY, rebuild, write_scheduler_state
from tests.ledger.conftest import NOW, accepted, experience

# The document as earlier programs wrote it.
SEED_STATE = {
    "last_sleep_time": "2026-01-18T17:38:32.159790",
    "last_sleep_cycle": 1,
    "experiences_at_last_sleep": 6,
    "total_sleep_cycles": 1,
    "sleep_history": [{"cycle": 1, "timestamp": "2026-01-18T17:38:31.944333", "num_experiences": 6, "final_loss": 4.026783545811971}],
}


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def results(number: int, *, loss: float = 3.5, minute: int = 0) -> dict[str, object]:
    return {
        "sleep_cycle": number,
        "num_experiences": 5,
        "epochs": 3,
        "final_loss": loss,
        "avg_salience": 0.7,
        "epoch_losses": [3.9, loss],
        "learning_rate": 1e-5,
        "timestamp": f"2026-01-18T12:{minute:02d}:00.500000",
    }


def write_cycle(directory: Path, number: int, history: list[int], manifest: dict[str, object] | None = None) -> None:
    directory.mkdir(parents=True)
    state = {"sleep_cycle_count": len(history), "training_history": [results(n, minute=n) for n in history], "last_updated": "x"}
    (directory / "training_state.json").write_text(json.dumps(state))
    (directory / "cycle_results.json").write_text(json.dumps(results(number, minute=number)))
    if manifest is not None:
        (directory / "manifest.json").write_text(json.dumps({"id": directory.name, **manifest}))


def test_the_export_has_the_fields_of_the_earlier_programs_and_their_naive_local_times(ledger: Ledger, tmp_path: Path) -> None:
    es = [experience(n) for n in range(7)]
    ledger.experiences.add_many([(e, accepted(e)) for e in es], "a", NOW)
    ledger.cycles.begin(1, "light", "/j", NOW, "schedule")
    ledger.experiences.mark_trained([e.id for e in es[:6]], 1)
    entry = SEED_STATE["sleep_history"][0]  # type: ignore[index]
    summary = {"num_experiences": 6, "final_loss": entry["final_loss"], "timestamp": entry["timestamp"], "report": {"much": "more"}}
    ledger.cycles.finish(1, "committed", [], local("2026-01-18T17:38:32.159790"), summary)
    file = tmp_path / "scheduler_state.json"
    write_scheduler_state(ledger, file)
    written = json.loads(file.read_text())
    assert written == SEED_STATE
    assert list(written) == list(SEED_STATE)
    assert list(written["sleep_history"][0]) == list(entry)


def test_the_export_before_the_first_cycle(ledger: Ledger, tmp_path: Path) -> None:
    write_scheduler_state(ledger, tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text()) == {
        "last_sleep_time": None,
        "last_sleep_cycle": 0,
        "experiences_at_last_sleep": 0,
        "total_sleep_cycles": 0,
        "sleep_history": [],
    }


def test_the_export_keeps_the_last_committed_cycles_oldest_first(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.transaction():
        for number in range(1, HISTORY + 12):
            ledger.cycles.begin(number, "light", "/j", NOW, "schedule")
            verdict = "rejected" if number == HISTORY + 11 else "committed"
            ledger.cycles.finish(number, verdict, [], NOW + timedelta(hours=number), {"timestamp": NOW.isoformat()})  # type: ignore[arg-type]
    write_scheduler_state(ledger, tmp_path / "s.json")
    written = json.loads((tmp_path / "s.json").read_text())
    assert [e["cycle"] for e in written["sleep_history"]] == list(range(11, HISTORY + 11))
    assert (written["last_sleep_cycle"], written["total_sleep_cycles"]) == (HISTORY + 10, HISTORY + 10)
    assert written["sleep_history"][0]["timestamp"] == NOW.astimezone().replace(tzinfo=None).isoformat()


def test_an_export_that_cannot_be_written_names_the_file(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent/s\.json") as caught:
        write_scheduler_state(ledger, tmp_path / "absent" / "s.json")
    assert caught.value.remedy


def test_a_ledger_is_rebuilt_from_the_scheduler_state_of_an_earlier_program(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "scheduler_state.json").write_text(json.dumps(SEED_STATE))
    assert rebuild(ledger, tmp_path).cycles == 1
    row = ledger.cycles.get(1)
    assert (row.verdict, row.finished_at, row.requested_by) == ("committed", local("2026-01-18T17:38:32.159790"), "rebuild")
    write_scheduler_state(ledger, tmp_path / "again.json")
    # Nothing says which six they were, so all of them count as new rather than as lost.
    assert json.loads((tmp_path / "again.json").read_text()) == {**SEED_STATE, "experiences_at_last_sleep": 0}


@pytest.mark.parametrize("below", ["", "adapters"])
def test_a_ledger_is_rebuilt_from_checkpoints_alone_in_numeric_order(ledger: Ledger, tmp_path: Path, below: str) -> None:
    for number in (9, 10, 1000):
        write_cycle(tmp_path / below / f"cycle_{number:03d}", number, [n for n in (9, 10, 1000) if n <= number])
    assert rebuild(ledger, tmp_path).cycles == 3
    assert [r.number for r in ledger.cycles.committed()] == [1000, 10, 9]
    row = ledger.cycles.get(10)
    assert row.summary["cycle_results"] == results(10, minute=10)
    assert row.finished_at == local("2026-01-18T12:10:00.500000")


def test_a_pruned_cycle_is_known_from_the_history_of_a_later_one(ledger: Ledger, tmp_path: Path) -> None:
    write_cycle(tmp_path / "adapters" / "cycle_003", 3, [1, 2, 3])
    rebuild(ledger, tmp_path)
    assert [r.number for r in ledger.cycles.committed()] == [3, 2, 1]
    assert ledger.cycles.get(2).summary["cycle_results"] == results(2, minute=2)


def test_our_own_cycles_come_back_with_what_they_trained_and_what_is_in_service(ledger: Ledger, tmp_path: Path) -> None:
    adapters = tmp_path / "adapters"
    es = [experience(n) for n in range(4)]
    base = {"path": "/m", "sha256": "b" * 64}
    for number, kind in ((1, "light"), (2, "deep"), (3, "light")):
        manifest = {"base": base, "adapter_sha256": f"{number}" * 64, "experience_ids": [es[number - 1].id], "kind": kind}
        write_cycle(adapters / f"cycle_{number:03d}", number, list(range(1, number + 1)), manifest)
    (adapters / "active").symlink_to("cycle_002")
    (adapters / "last_good").symlink_to("cycle_001")
    assert rebuild(ledger, tmp_path).problems == ()
    assert [(r.number, r.kind, r.verdict) for r in ledger.cycles.list()] == [
        (3, "light", "rolled_back"),  # published, and nothing ever said that it was committed
        (2, "deep", "committed"),
        (1, "light", "committed"),
    ]
    ledger.experiences.add_many([(e, accepted(e)) for e in es], "a", NOW)
    assert [e.id for e, _ in ledger.experiences.pending()] == [es[2].id, es[3].id]
    assert ledger.values.get("pinned_base") == "b" * 64
    active = ledger.values.get("active")
    assert isinstance(active, dict) and (active["id"], active["sha256"]) == ("cycle_002", "2" * 64)


def test_what_was_rolled_back_by_hand_counts_as_new_again(ledger: Ledger, tmp_path: Path) -> None:
    adapters = tmp_path / "adapters"
    es = [experience(n) for n in (1, 2)]
    for number in (1, 2):
        manifest = {"base": {}, "experience_ids": [es[number - 1].id]}
        write_cycle(adapters / f"cycle_{number:03d}", number, list(range(1, number + 1)), manifest)
    history = [{"cycle": n, "timestamp": "2026-01-18T12:00:00", "num_experiences": 1, "final_loss": 1.0} for n in (1, 2)]
    (tmp_path / "scheduler_state.json").write_text(json.dumps({"sleep_history": history}))
    (adapters / "active").symlink_to("cycle_001")
    rebuild(ledger, tmp_path)
    ledger.experiences.add_many([(e, accepted(e)) for e in es], "a", NOW)
    assert [e.id for e, _ in ledger.experiences.pending()] == [es[1].id]
    assert [r.number for r in ledger.cycles.committed()] == [2, 1]


def test_damaged_records_are_named_and_the_rest_is_used(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "scheduler_state.json").write_text("{ torn")
    write_cycle(tmp_path / "cycle_001", 1, [1])
    (tmp_path / "cycle_001" / "cycle_results.json").write_text("[]")
    (tmp_path / "cycle_002").mkdir()
    report = rebuild(ledger, tmp_path)
    assert report.cycles == 2
    assert len(report.problems) == 2
    assert any(str(tmp_path / "scheduler_state.json") in problem for problem in report.problems)
    assert ledger.cycles.get(1).summary["final_loss"] == 3.5


def test_a_ledger_that_knows_a_cycle_is_left_alone(ledger: Ledger, tmp_path: Path) -> None:
    ledger.cycles.begin(5, "light", "/j", NOW, "schedule")
    (tmp_path / "scheduler_state.json").write_text(json.dumps(SEED_STATE))
    assert rebuild(ledger, tmp_path).cycles == 0
    assert [r.number for r in ledger.cycles.list()] == [5]


def test_nothing_to_rebuild_from_is_no_error(ledger: Ledger, tmp_path: Path) -> None:
    assert rebuild(ledger, tmp_path / "absent").cycles == 0
