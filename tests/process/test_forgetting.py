"""Forgetting with a real daemon: out of the ledger at once, out of the weights with the next deep cycle, and proved."""

from __future__ import annotations

import hashlib
import json
import signal
from typing import Any

import pytest

from sleepd.errors import ExitCode, SleepdError
from sleepd.ledger import Ledger
from tests.process.harness import Daemon, Start, Workspace, entries


def subject_of(number: int) -> str:
    """The person whom exchange ``number`` is about."""
    return str(entries(1, number)[0]["prompt"].split()[2])


def value_of(number: int) -> str:
    return str(entries(1, number)[0]["prompt"].split()[-1].rstrip("."))


def forget(daemon: Daemon, query: str, by: str = "ann@tty1") -> dict[str, Any]:
    """Both calls of the command line."""
    plan = daemon.call("forget", query=query)
    return daemon.call("forget", cards=[c["id"] for c in plan["cards"]], exchanges=[e["id"] for e in plan["exchanges"]], by=by)


def learned(workspace: Workspace, start: Start, count: int = 6) -> Daemon:
    """A daemon whose first night has taught ``count`` facts."""
    workspace.set("schedule", **workspace.daylight())
    workspace.live(count)
    daemon = start().ready()
    ingested(daemon, count)
    daemon.call("sleep", force=True)
    assert daemon.verdict("cycle_001")["verdict"] == "committed"
    return daemon


def ingested(daemon: Daemon, count: int) -> None:
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == count, "ingested")


def deep(daemon: Daemon, cycle: str) -> str:
    daemon.call("sleep", force=True, kind="deep")
    return str(daemon.verdict(cycle)["verdict"])


def ledger_bytes(workspace: Workspace) -> bytes:
    return b"".join(file.read_bytes() for file in workspace.state.glob("ledger.db*"))


def receipt_of(daemon: Daemon, settled: bool = True) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        row: dict[str, Any] = daemon.call("receipts")["receipts"][0]
        return row if not settled or row["removed"] else None

    found: dict[str, Any] = daemon.until(look, "a receipt")
    return found


def test_from_the_request_to_the_receipt(workspace: Workspace, start: Start) -> None:
    daemon = learned(workspace, start)
    daemon.call("tag", number=1, name="first", by="ann@tty1")
    plan = daemon.call("forget", query=subject_of(2))
    facts = len(plan["cards"])
    assert value_of(2) in [c["value"] for c in plan["cards"]] and {c["status"] for c in plan["cards"]} == {"graduated"}
    assert [e["id"] for e in plan["exchanges"]] == [entries(1, 2)[0]["id"]]
    assert plan["in_the_weights"] is True and plan["adapters"] == ["cycle_001"] and plan["tagged"] == ["cycle_001"]
    answer = forget(daemon, subject_of(2))
    assert (answer["facts"], answer["exchanges"], answer["still_in_the_weights"], answer["settled_by"]) == (facts, 1, facts, None)
    assert answer["left_in"] and str(workspace.buffer) in answer["left_in"]  # the buffer is not ours to write
    status = daemon.status()
    assert status["still_in_the_weights"] == [facts] and (status["totals"]["experiences"], status["totals"]["usable"]) == (6, 5)
    assert status["decision"]["kind"] == "deep" and status["active"]["id"] == "cycle_001"  # it serves until there is a better one
    assert subject_of(2) not in json.dumps(daemon.call("memories"))
    assert deep(daemon, "cycle_002") == "committed"
    receipt = receipt_of(daemon)
    assert (receipt["asked_by"], receipt["settled_by"], receipt["tries"], receipt["extracted"]) == ("ann@tty1", "cycle_002", 20 * facts, 0)
    assert {c["sha256"] for c in receipt["cards"]} == {hashlib.sha256(card["id"].encode()).hexdigest() for card in plan["cards"]}
    assert receipt["removed"] == ["cycle_001"]  # tagged or not, it cannot be gone back to
    assert daemon.status()["still_in_the_weights"] == []
    daemon.until(lambda: subject_of(2).encode() not in ledger_bytes(workspace), "the ledger's file without it")
    assert {p.name for p in (workspace.state / "adapters").glob("cycle_*")} == {"cycle_002"}
    with pytest.raises(SleepdError) as gone:
        daemon.call("activate", target="1", by="ann@tty1")
    assert gone.value.exit_code == ExitCode.NOT_FOUND
    assert daemon.events("forgotten")[0]["extracted"] == 0 and subject_of(2) not in json.dumps(daemon.log)
    for file in workspace.state.rglob("*.json"):
        assert subject_of(2) not in file.read_text()


def test_a_pending_request_makes_the_next_night_deep_and_due_without_anything_new(workspace: Workspace, start: Start) -> None:
    daemon = learned(workspace, start)
    forget(daemon, subject_of(3))
    workspace.set("schedule", **workspace.night())
    daemon.call("reload")
    assert daemon.verdict("cycle_002")["verdict"] == "committed"
    assert daemon.call("show", number=2)["kind"] == "deep"
    assert receipt_of(daemon)["settled_by"] == "cycle_002"


@pytest.mark.parametrize(("mode", "reason"), [("leaks", "tries (base 0): card "), ("no-tries", "evaluation.forgotten")])
def test_an_adapter_that_still_says_it_or_was_not_asked_is_refused(workspace: Workspace, start: Start, mode: str, reason: str) -> None:
    daemon = learned(workspace, start)
    still = forget(daemon, subject_of(1))["still_in_the_weights"]
    workspace.mode(mode)
    assert deep(daemon, "cycle_002") == "rejected"
    assert any(line.startswith("forgotten: ") and reason in line for line in daemon.status()["last_cycle"]["reasons"])
    assert daemon.status()["still_in_the_weights"] == [still] and workspace.active() == "cycle_001"
    workspace.mode("ok")
    assert deep(daemon, "cycle_003") == "committed"
    assert daemon.status()["still_in_the_weights"] == []


def test_what_was_never_trained_is_gone_at_once(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    workspace.live(6)
    daemon = start().ready()
    ingested(daemon, 6)
    answer = forget(daemon, subject_of(4))
    assert (answer["settled_by"], answer["still_in_the_weights"], answer["tries"]) == ("never trained", 0, 0)
    assert daemon.status()["still_in_the_weights"] == []
    assert subject_of(4).encode() not in ledger_bytes(workspace)
    workspace.live(7)  # the buffer still holds it, and it is not taken in again
    ingested(daemon, 7)
    assert subject_of(4) not in json.dumps(daemon.call("memories"))


def test_a_rejected_candidate_that_was_trained_on_it_goes_too(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    workspace.live(6)
    workspace.mode("reject")
    daemon = start().ready()
    ingested(daemon, 6)
    daemon.call("sleep", force=True)
    assert daemon.verdict("cycle_001")["verdict"] == "rejected"
    assert (workspace.state / "adapters/quarantine/cycle_001").is_dir()
    assert all(memory["misses"] == 0 for memory in daemon.call("memories")["memories"])  # a rejected night counts for nothing
    assert forget(daemon, subject_of(0))["removed"] == ["quarantine/cycle_001"]
    assert not (workspace.state / "adapters/quarantine/cycle_001").exists()
    assert subject_of(0).encode() not in ledger_bytes(workspace)


def test_a_night_that_runs_is_given_up_because_its_job_holds_it(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    workspace.mode("slow")
    workspace.live(6)
    daemon = start().ready()
    ingested(daemon, 6)
    daemon.call("sleep", force=True)
    daemon.stage("TRAIN")
    answer = forget(daemon, subject_of(5))
    assert answer["settled_by"] == "never trained"
    last = daemon.status()["last_cycle"]
    assert last["verdict"] == "abandoned" and "asked to forget" in last["reasons"][0]
    assert not list((workspace.state / "jobs").iterdir())


def test_when_it_was_all_that_was_learned_the_base_model_alone_serves(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", min_experiences=1, **workspace.daylight())
    daemon = learned(workspace, start, 1)
    answer = forget(daemon, subject_of(0))
    assert (answer["settled_by"], answer["still_in_the_weights"], answer["removed"]) == ("base", 0, ["cycle_001"])
    assert workspace.active() is None and daemon.status()["still_in_the_weights"] == []


def test_what_matches_nothing_is_not_found(workspace: Workspace, start: Start) -> None:
    daemon = learned(workspace, start)
    for call in ({"query": "Nobodyatall"}, {"query": " "}, {"cards": ["absent"], "exchanges": []}):
        with pytest.raises(SleepdError) as caught:
            daemon.call("forget", **call)
        assert caught.value.exit_code == ExitCode.NOT_FOUND, call
    with pytest.raises(SleepdError) as caught:
        daemon.call("forget", cards="x", exchanges=[])
    assert caught.value.exit_code == ExitCode.USAGE
    assert daemon.call("receipts") == {"receipts": []}


def test_told_again_in_a_new_exchange_it_is_learned_anew(workspace: Workspace, start: Start) -> None:
    daemon = learned(workspace, start)
    forget(daemon, subject_of(2))
    again = entries(1, 2)[0] | {"response": "Thank you for telling me that about your friend once more today.", "id": "f" * 16}
    workspace.buffer.write_text(json.dumps([*entries(6), again]))
    ingested(daemon, 7)
    assert deep(daemon, "cycle_002") == "committed"  # it is not asked for: it is wanted again
    (receipt,) = daemon.call("receipts")["receipts"]
    assert receipt["settled_by"] == "cycle_002" and receipt["tries"] == 0
    found = daemon.call("memories", query=subject_of(2))["memories"]
    assert found and all((memory["status"], memory["probes"]) == ("graduated", 1) for memory in found)


@pytest.mark.parametrize("moment", ["leaving:COMMIT", "working:CLEAN"])
def test_killed_after_the_commit_the_next_start_ends_it(workspace: Workspace, start: Start, moment: str) -> None:
    daemon = learned(workspace, start)
    forget(daemon, subject_of(2))
    daemon.stop()
    second = start(kill=moment).looked()
    second.call("sleep", force=True, kind="deep")
    assert second.wait() == -signal.SIGKILL
    third = start().ready()
    assert third.verdict("cycle_002")["verdict"] == "committed"
    assert receipt_of(third)["removed"] == ["cycle_001"]
    third.until(lambda: subject_of(2).encode() not in ledger_bytes(workspace), "the ledger's file without it")


def test_killed_before_the_files_are_cleared_the_next_start_clears_them(workspace: Workspace, start: Start) -> None:
    daemon = learned(workspace, start)
    daemon.stop()
    with Ledger.open(workspace.state / "ledger.db") as ledger:  # what is on disk when the process dies right after the transaction
        cards = [card for card in ledger.cards.all() if subject_of(1) in card.quote]
        exchanges = {card.experience_id: () for card in cards}
        now = ledger.cycles.get(1).started_at
        ledger.forgetting.ask(cards, exchanges, "ann", now, seen=1, since=1, settled_by="cycle_002", until=2)
    (workspace.state / "adapters/active").unlink()
    (workspace.state / "adapters/last_good").unlink()
    second = start().ready()
    assert receipt_of(second)["removed"] == ["cycle_001"]
    second.until(lambda: subject_of(1).encode() not in ledger_bytes(workspace), "the ledger's file without it")


def test_a_card_that_never_sticks_comes_back_and_is_reported_as_stubborn(workspace: Workspace, start: Start) -> None:
    workspace.mode("unrecalled")
    daemon = learned(workspace, start)
    (first,) = [m for m in daemon.call("memories")["memories"] if m["status"] == "learning"]
    assert first["misses"] == 1 and first["last_probe"] == {"cycle": "cycle_001", "recalled": False}
    for night, (status, misses) in enumerate((("learning", 2), ("stubborn", 3)), 2):
        count = 4 * night
        workspace.live(count)
        ingested(daemon, count)
        daemon.call("sleep", force=True)
        assert daemon.verdict(f"cycle_{night:03d}")["verdict"] == "committed", daemon.status()["last_cycle"]
        (memory,) = [m for m in daemon.call("memories")["memories"] if m["id"] == first["id"]]
        assert (memory["status"], memory["misses"]) == (status, misses)
    assert daemon.status()["stubborn"] >= 1
    assert first["id"] in [m["id"] for m in daemon.call("memories", status="stubborn")["memories"]]


def test_why_goes_from_an_answer_to_the_exchange_and_the_nights(workspace: Workspace, start: Start) -> None:
    daemon = learned(workspace, start)
    found = daemon.call("why", query=f"{subject_of(3)} lives in {value_of(3)}.")
    match = found["matches"][0]
    assert value_of(3) in match["card"]["quote"] and match["in_the_active_adapter"] is True and found["active"] == "cycle_001"
    assert match["exchange"]["prompt"] == entries(1, 3)[0]["prompt"] and match["exchange"]["buffer"] == str(workspace.buffer)
    (night,) = match["nights"]
    assert (night["cycle"], night["verdict"], night["taught"], night["recalled"]) == ("cycle_001", "committed", True, True)
    with pytest.raises(SleepdError) as caught:
        daemon.call("why", query="Why is the sky blue?")
    assert caught.value.exit_code == ExitCode.NOT_FOUND


def test_one_deep_cycle_settles_every_request_before_it(workspace: Workspace, start: Start) -> None:
    daemon = learned(workspace, start)
    forget(daemon, subject_of(0))
    forget(daemon, subject_of(1), by="bob@tty2")
    assert len(daemon.status()["still_in_the_weights"]) == 2
    assert deep(daemon, "cycle_002") == "committed"
    rows = daemon.until(lambda: [r for r in daemon.call("receipts")["receipts"] if r["settled_by"]], "receipts")
    assert [r["asked_by"] for r in rows] == ["bob@tty2", "ann@tty1"]
    for query in ("bob@tty2", "2"):  # the files are still being cleared, so the rest of a receipt may change between two looks
        assert [r["forget"] for r in daemon.call("receipts", query=query)["receipts"]] == [rows[0]["forget"]]
