from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sleepd.errors import LedgerError, NotFoundError
from sleepd.ledger import Ledger, Probe, ProbeSummary, SourceState
from sleepd.records import Check, Decision
from tests.ledger.conftest import NOW, card

LATER = NOW + timedelta(minutes=1)


class TestSources:
    STATE = SourceState("/b.json", 100, 1_700_000_000_123_456_789, 42, "list", 90, 3, "ab" * 32, NOW.isoformat(), None)

    def test_a_state_comes_back_and_is_replaced(self, ledger: Ledger) -> None:
        assert ledger.sources.get("/b.json") is None
        ledger.sources.put(self.STATE)
        failed = replace(self.STATE, size=0, error="the file vanished")
        other = replace(self.STATE, path="/a.json")
        ledger.sources.put(other)
        ledger.sources.put(failed)
        assert ledger.sources.get("/b.json") == failed
        assert ledger.sources.all() == [other, failed]


class TestQuarantine:
    def test_meeting_a_thing_again_counts_it_and_keeps_the_latest_reason(self, ledger: Ledger) -> None:
        ledger.quarantine.add("entry", "/b.json#3", "no prompt", '{"response": "x"}', NOW)
        ledger.quarantine.add("card", "c1", "value not in the user's words", "\ud83d", NOW)
        ledger.quarantine.add("entry", "/b.json#3", "prompt is a number", "{}", LATER)
        newest, _ = ledger.quarantine.list(10)
        assert (newest.key, newest.reason, newest.payload, newest.count) == ("/b.json#3", "prompt is a number", "{}", 2)
        assert (newest.first_seen, newest.last_seen) == (NOW, LATER)
        assert ledger.quarantine.count() == 2
        assert len(ledger.quarantine.list(1)) == 1


class TestCards:
    def test_a_card_comes_back_and_an_update_keeps_its_probes(self, ledger: Ledger) -> None:
        ledger.cards.put(card(1), NOW)
        ledger.cards.record_probe(card(1).id, 1, True, NOW)
        changed = card(1, value="Porto", status="graduated")
        ledger.cards.put(changed, LATER)
        assert ledger.cards.get(card(1).id) == changed
        assert ledger.cards.get("absent") is None
        assert ledger.cards.probes(card(1).id) == [Probe(card(1).id, 1, True, NOW)]

    def test_living_cards_are_those_in_the_weights_or_on_the_way_there(self, ledger: Ledger) -> None:
        statuses = ("new", "learning", "graduated", "fading", "stubborn", "superseded", "forgotten", "quarantined")
        for number, status in enumerate(statuses):
            ledger.cards.put(card(number, status=status), NOW)
        assert [c.status for c in ledger.cards.living()] == ["learning", "graduated", "fading", "stubborn"]
        assert [c.status for c in ledger.cards.all("superseded")] == ["superseded"]
        assert len(ledger.cards.all()) == len(statuses)

    def test_a_status_is_set_and_an_unknown_card_is_not_found(self, ledger: Ledger) -> None:
        ledger.cards.put(card(1), NOW)
        ledger.cards.set_status(card(1).id, "forgotten", LATER)
        assert ledger.cards.all("forgotten") == [card(1, status="forgotten")]
        with pytest.raises(NotFoundError, match="absent"):
            ledger.cards.set_status("absent", "forgotten", NOW)
        with pytest.raises(NotFoundError, match="absent"):
            ledger.cards.record_probe("absent", 1, True, NOW)

    def test_probes_sum_up_to_the_best_and_the_last_night(self, ledger: Ledger) -> None:
        for number in (1, 2, 3):
            ledger.cards.put(card(number), NOW)
        for number, cycle, recalled in ((1, 9, True), (1, 10, False), (2, 10, False), (2, 9, False), (2, 10, True)):
            ledger.cards.record_probe(card(number).id, cycle, recalled, NOW)
        assert ledger.cards.probe_summaries() == {card(1).id: ProbeSummary(True, False, 2), card(2).id: ProbeSummary(True, True, 2)}
        assert [(p.cycle, p.recalled) for p in ledger.cards.probes()] == [(9, True), (9, False), (10, False), (10, True)]


class TestCycles:
    def test_a_cycle_from_begin_to_finish(self, ledger: Ledger) -> None:
        assert ledger.cycles.begin(7, "light", "/jobs/7", NOW, "schedule") == 7
        assert ledger.cycles.get(7).step == ""
        ledger.cycles.enter(7, "TRAIN", {"tries": 1}, NOW)
        ledger.cycles.enter(7, "GATE", {"result": "ab"}, LATER)
        running = ledger.cycles.current()
        assert running is not None and (running.number, running.step, running.step_data) == (7, "GATE", {"result": "ab"})
        assert [(s.step, s.data, s.entered_at) for s in ledger.cycles.steps(7)] == [
            ("TRAIN", {"tries": 1}, NOW),
            ("GATE", {"result": "ab"}, LATER),
        ]
        ledger.cycles.finish(7, "rejected", ["recall: 1 of 4"], LATER, {"num_experiences": 6})
        row = ledger.cycles.get(7)
        assert (row.verdict, row.reasons, row.started_at, row.finished_at) == ("rejected", ("recall: 1 of 4",), NOW, LATER)
        assert (row.kind, row.job_dir, row.requested_by, row.summary, row.tag) == (
            "light",
            "/jobs/7",
            "schedule",
            {"num_experiences": 6},
            None,
        )
        assert ledger.cycles.current() is None

    def test_a_step_is_on_disk_before_the_process_can_die(self, path: Path, ledger: Ledger) -> None:
        ledger.cycles.begin(1, "light", "/j", NOW, "schedule")
        ledger.cycles.enter(1, "ACTIVATE", {"candidate": "cycle_001"}, NOW)
        with Ledger.open(path, readonly=True) as reader:
            row = reader.cycles.current()
            assert row is not None and row.step == "ACTIVATE"

    def test_only_one_cycle_runs_and_no_number_is_used_twice(self, ledger: Ledger) -> None:
        ledger.cycles.begin(1, "light", "/j", NOW, "schedule")
        with pytest.raises(LedgerError, match="cycle 1 is not finished"):
            ledger.cycles.begin(2, "light", "/j", NOW, "schedule")
        ledger.cycles.finish(1, "abandoned", [], NOW, {})
        with pytest.raises(LedgerError, match="exists already"):
            ledger.cycles.begin(1, "light", "/j", NOW, "schedule")
        assert [r.number for r in ledger.cycles.list()] == [1]

    def test_a_finished_cycle_never_changes(self, ledger: Ledger) -> None:
        ledger.cycles.begin(1, "light", "/j", NOW, "schedule")
        ledger.cycles.finish(1, "committed", [], NOW, {})
        with pytest.raises(LedgerError, match="finished already"):
            ledger.cycles.enter(1, "GATE", {}, NOW)
        with pytest.raises(LedgerError, match="finished already"):
            ledger.cycles.finish(1, "rolled_back", [], NOW, {})
        assert ledger.cycles.steps(1) == []

    def test_an_unknown_cycle_is_not_found(self, ledger: Ledger) -> None:
        for call in (
            lambda: ledger.cycles.get(9),
            lambda: ledger.cycles.enter(9, "GATE", {}, NOW),
            lambda: ledger.cycles.finish(9, "committed", [], NOW, {}),
            lambda: ledger.cycles.tag(9, "x"),
        ):
            with pytest.raises(NotFoundError, match="no cycle 9"):
                call()

    def test_lists_are_newest_first_by_number(self, ledger: Ledger) -> None:
        for number, verdict in ((9, "committed"), (10, "rejected"), (11, "committed"), (12, "abandoned")):
            ledger.cycles.begin(number, "deep", "/j", NOW, "schedule")
            ledger.cycles.finish(number, verdict, [], NOW, {})  # type: ignore[arg-type]
        assert [r.number for r in ledger.cycles.list(3)] == [12, 11, 10]
        assert [r.number for r in ledger.cycles.committed()] == [11, 9]
        assert ledger.cycles.count_committed() == 2
        last, good = ledger.cycles.last_finished(), ledger.cycles.last_committed()
        assert last is not None and good is not None and (last.number, good.number) == (12, 11)
        assert ledger.cycles.highest() == 12

    def test_an_empty_ledger_has_no_cycles(self, ledger: Ledger) -> None:
        assert (ledger.cycles.current(), ledger.cycles.last_finished(), ledger.cycles.last_committed(), ledger.cycles.highest()) == (
            None,
            None,
            None,
            0,
        )

    def test_tags_can_be_given_and_taken_away(self, ledger: Ledger) -> None:
        for number in (1, 2):
            ledger.cycles.begin(number, "light", "/j", NOW, "schedule")
            ledger.cycles.finish(number, "committed", [], NOW, {})
            ledger.cycles.tag(number, "first words")
        ledger.cycles.tag(2, None)
        assert ledger.cycles.tagged() == {1}
        assert ledger.cycles.get(1).tag == "first words"


class TestDecisions:
    @staticmethod
    def waiting(check: str, detail: str) -> Decision:
        checks = (
            Check("phase", check != "phase", detail if check == "phase" else "phase is NIGHT"),
            Check("idle", check != "idle", detail),
        )
        return Decision(False, detail, checks)

    def test_the_same_outcome_with_other_numbers_is_one_row(self, ledger: Ledger) -> None:
        ledger.decisions.record(self.waiting("idle", "idle 1.0 of 10 min"), NOW)
        ledger.decisions.record(self.waiting("idle", "idle 1.5 of 10 min"), LATER)
        (row,) = ledger.decisions.list(10)
        assert (row.count, row.first_seen, row.last_seen) == (2, NOW, LATER)
        assert row.decision == self.waiting("idle", "idle 1.5 of 10 min")

    def test_another_outcome_is_a_row_of_its_own(self, ledger: Ledger) -> None:
        run = Decision(True, "ready", (Check("idle", True, "quiet"),), "deep")
        for decision in (self.waiting("phase", "DAY"), self.waiting("idle", "busy"), run, self.waiting("idle", "busy")):
            ledger.decisions.record(decision, NOW)
        assert [r.decision.reason for r in ledger.decisions.list(10)] == ["busy", "ready", "busy", "DAY"]
        assert ledger.decisions.list(2)[1].decision == run

    def test_reasons_that_are_no_check_are_told_apart_by_their_words(self, ledger: Ledger) -> None:
        for reason in ("nothing usable", "shutting down", "shutting down"):
            ledger.decisions.record(Decision(False, reason, ()), NOW)
        assert [(r.decision.reason, r.count) for r in ledger.decisions.list(10)] == [("shutting down", 2), ("nothing usable", 1)]


class TestValues:
    def test_values_are_json_and_survive_a_restart(self, path: Path, ledger: Ledger) -> None:
        ledger.values.set("active", {"id": "cycle_007", "why": None})
        ledger.values.set("paused", False)
        ledger.values.set("gone", 1)
        ledger.values.remove("gone")
        ledger.close()
        with Ledger.open(path) as again:
            assert again.values.get("active") == {"id": "cycle_007", "why": None}
            assert again.values.get("paused", True) is False
            assert again.values.get("gone", "default") == "default"
