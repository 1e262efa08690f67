"""Forgetting in the ledger: one transaction, no text left in any byte of its files, ids that stay known."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sleepd.cardlife import Life
from sleepd.errors import LedgerError
from sleepd.ledger import Ledger
from sleepd.ledger.exports import rebuild
from sleepd.ledger.tombstones import FILE, write_tombstones
from sleepd.records import Card, Experience
from tests.ledger.conftest import NOW, accepted, card, experience

ROOT = Path(__file__).parents[2]
SECRET = "Zanzibarquay"
LATER = NOW + timedelta(hours=1)


def secret_card(**more: object) -> Card:
    return card(1, **{"subject": "Alda", "value": SECRET, "quote": f"Alda lives in {SECRET}.", "experience_id": "0" * 16, **more})


def told(ledger: Ledger, *cards: Card, number: int = 1, prompt: str = "") -> Experience:
    made = experience(number, prompt=prompt or f"Alda lives in {SECRET}.", session=4)
    made = replace(made, response=f"So Alda is in {SECRET}.", metadata={"note": SECRET})
    ledger.experiences.add(made, accepted(made, *cards), "/b.json", NOW)
    return made


def ask(ledger: Ledger, cards: Iterable[Card], exchanges: dict[str, tuple[Card, ...]], *, since: int | None = 1) -> int:
    settled_by = None if since is not None else "never trained"
    return ledger.forgetting.ask(list(cards), exchanges, "ann@tty1", LATER, seen=since, since=since, settled_by=settled_by, until=None)


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.name.startswith(path.name))


def test_no_byte_of_the_ledger_holds_a_memory_that_was_never_trained(path: Path, ledger: Ledger) -> None:
    fact = secret_card()
    made = told(ledger, fact)
    ledger.cards.put(replace(fact, value="an earlier form"), NOW)
    ledger.cards.put(fact, NOW)
    ledger.quarantine.add("entry", "k", f"odd: Alda in {SECRET}", json.dumps({"prompt": f"Alda, {SECRET}"}), NOW)
    report = {
        "report": {"cards": [vars(fact)], "evaluation": {"new": [{"card_id": fact.id, "candidate": [True]}]}, "text": "Alda " + SECRET}
    }
    ledger.cycles.begin(1, "light", "/j", NOW, "schedule")
    ledger.cycles.enter(1, "CLEAN", {"summary": report}, NOW)
    ledger.cycles.finish(1, "rejected", [f"Alda said {SECRET}", "recall: 0 of 4"], NOW, report)
    ledger.dreams.put("d1", "pair", [fact.id], [("user", f"Is it {SECRET}?")], 1, NOW)
    assert SECRET.encode() in bytes_of(path)
    number = ask(ledger, [fact], {made.id: ()}, since=None)
    ledger.forgetting.cleared(number, ["quarantine/cycle_001"], [], LATER)
    assert ledger.forgetting.compact()
    assert SECRET.encode() not in bytes_of(path) and SECRET.lower().encode() not in bytes_of(path).lower()
    assert b"Alda" not in bytes_of(path)
    row = ledger.cycles.get(1)
    assert row.reasons == ("(forgotten)", "recall: 0 of 4")
    assert row.summary["report"]["cards"] == [] and len(row.summary["report"]["evaluation"]["new"]) == 1
    assert ledger.quarantine.count() == 0 and ledger.dreams.list() == []


def test_the_exchange_stays_known_by_its_id_and_is_counted_anew(ledger: Ledger) -> None:
    fact = secret_card()
    made, other = told(ledger, fact), experience(2, session=4)
    ledger.experiences.add(other, accepted(other), "/b.json", NOW)
    ledger.cards.put(fact, NOW)
    ask(ledger, [fact], {made.id: ()})
    assert ledger.experiences.unknown_ids([made.id]) == set()
    assert ledger.experiences.add(made, accepted(made, fact), "/b.json", LATER) is False
    totals = ledger.experiences.totals()
    assert (totals.experiences, totals.usable, totals.examples, totals.with_cards, totals.new) == (2, 1, 1, 0, 1)
    assert ledger.experiences.rejected_by_reason() == {"forgotten": 1}
    assert ledger.experiences.session_counts() == {4: 2} and ledger.experiences.prompt_count(made.prompt) == 0
    assert ledger.experiences.recent_replies(5) == [other.response]  # an empty reply is nothing to compare with
    assert [e.id for e in ledger.experiences.tail(5)] == [other.id]
    assert [t.experience.id for t in ledger.experiences.each_told()] == [other.id]


def test_the_card_becomes_a_tombstone_without_probes(ledger: Ledger) -> None:
    fact = secret_card(status="graduated")
    made = told(ledger, fact)
    ledger.cards.put(fact, NOW)
    ledger.cards.record_probe(fact.id, 1, True, NOW, taught=True)
    ask(ledger, [fact], {made.id: ()})
    left = ledger.cards.get(fact.id)
    assert left is not None and left.status == "forgotten"
    assert {left.subject, left.relation, left.value, left.quote} == {"(forgotten)"}
    assert ledger.cards.living() == [] and ledger.cards.probes(fact.id) == []


def test_other_facts_of_the_same_exchange_stay_with_their_own_sentences(ledger: Ledger) -> None:
    fact = secret_card()
    sister = card(2, subject="user's sister", value="Ghent", quote="My sister lives in Ghent.")
    mixed = card(3, subject="Brin", value="Turku", quote=f"Brin lives in Turku and Alda in {SECRET}.")
    made = told(ledger, fact, sister, mixed)
    ledger.cards.put(mixed, NOW)
    ask(ledger, [fact], {made.id: (sister, mixed)})
    kept = ledger.experiences.told(made.id)
    assert kept is not None and kept.experience.response == ""
    assert kept.experience.prompt.splitlines() == ["My sister lives in Ghent.", "Brin, city: Turku"]
    assert [c.value for c in kept.verdict.cards] == ["Ghent", "Turku"] and kept.verdict.reasons == ("forgotten",)
    assert ledger.cards.get(mixed.id) == replace(mixed, quote="Brin, city: Turku")
    assert ledger.experiences.totals().with_cards == 1


def test_a_request_waits_for_a_deep_cycle_and_holds_the_fact_only_until_its_receipt(path: Path, ledger: Ledger) -> None:
    fact, second = secret_card(), card(2, subject="Alda", value="Mo", relation="pet", quote="Alda has a cat called Mo.")
    made = told(ledger, fact, second)
    ask(ledger, [fact, second], {made.id: ()})
    assert ledger.forgetting.still_in_the_weights() == [2]
    assert {c.value for c in ledger.forgetting.to_ask_for()} == {SECRET, "Mo"}
    ledger.forgetting.cleared(1, [], ["/b.json"], LATER)  # cleared up once, and still pending
    assert ledger.forgetting.uncleared() != [] and len(ledger.forgetting.to_ask_for()) == 2
    rows = [{"card_id": c.id, "tries": 20, "extracted": 0, "base_extracted": i} for i, c in enumerate((fact, second))]
    assert ledger.forgetting.settle("cycle_009", 9, rows, LATER) == [1]
    assert ledger.forgetting.still_in_the_weights() == [] and ledger.forgetting.pending() == []
    ledger.forgetting.cleared(1, ["cycle_001"], ["/b.json"], LATER)
    (done,) = ledger.forgetting.all()
    assert (done.settled_by, done.until, done.removed, done.left_in) == ("cycle_009", 9, ("cycle_001",), ("/b.json",))
    assert [(c.card, c.tries, c.extracted, c.base_extracted) for c in done.cards] == [(None, 20, 0, 0), (None, 20, 0, 1)]
    assert ledger.forgetting.uncleared() == [] and ledger.forgetting.compact()
    assert SECRET.encode() not in bytes_of(path)


def test_exchanges_without_a_fact_are_one_memory(ledger: Ledger) -> None:
    made = told(ledger)
    ask(ledger, [], {made.id: ()})
    assert ledger.forgetting.still_in_the_weights() == [1] and ledger.forgetting.to_ask_for() == []


def test_a_fact_that_is_told_again_is_not_asked_for_and_is_learned_anew(ledger: Ledger) -> None:
    fact = secret_card(status="graduated")
    made = told(ledger, fact)
    ledger.cards.put(fact, NOW)
    for cycle in (1, 2):
        ledger.cards.record_probe(fact.id, cycle, False, NOW, taught=True)
    ask(ledger, [fact], {made.id: ()})
    again = told(ledger, replace(fact, experience_id="1" * 16), number=7, prompt=f"By the way, Alda lives in {SECRET}.")
    assert again.id != made.id and ledger.forgetting.to_ask_for() == []
    assert ledger.experiences.forget(again.id, (), 1) and len(ledger.forgetting.to_ask_for()) == 1
    retold = replace(experience(8, prompt=f"They say {SECRET} suits Alda well."))  # no pattern reads it; a model may
    ledger.experiences.add(retold, accepted(retold), "/b.json", LATER + timedelta(minutes=1))
    assert ledger.forgetting.to_ask_for() == []
    ledger.cards.put(replace(fact, status="learning"), LATER)
    assert ledger.cards.life(fact.id) == Life("learning", 0)


def test_misses_are_counted_from_the_probes_of_nights_that_taught(ledger: Ledger) -> None:
    ledger.cards.put(card(1, status="learning"), NOW)
    for cycle, recalled, taught in ((1, False, True), (2, True, False), (3, False, True), (4, False, False), (5, False, True)):
        ledger.cards.record_probe(card(1).id, cycle, recalled, NOW, taught=taught)
    assert ledger.cards.life(card(1).id) == Life("learning", 2)
    assert ledger.cards.probe_summaries()[card(1).id].misses == 2
    assert [p.taught for p in ledger.cards.probes(card(1).id)] == [True, False, True, False, True]
    assert ledger.cards.life("absent") == Life("new", 0) and ledger.cards.count("learning") == 1


def test_a_lost_ledger_does_not_bring_back_what_was_forgotten(tmp_path: Path, ledger: Ledger) -> None:
    fact, sister = secret_card(), card(2, subject="user's sister", value="Ghent", quote="My sister lives in Ghent.")
    made = told(ledger, fact, sister)
    ask(ledger, [fact], {made.id: (sister,)})
    write_tombstones(ledger, tmp_path / FILE)
    with Ledger.open(tmp_path / "anew.db") as anew:
        assert rebuild(anew, tmp_path).forgets == 1
        assert anew.experiences.add(made, accepted(made, fact, sister), "/b.json", LATER) is False
        kept = anew.experiences.told(made.id)
        assert kept is not None and kept.experience.prompt == "My sister lives in Ghent." and kept.verdict.cards == (sister,)
        assert anew.experiences.totals() == ledger.experiences.totals()
        assert anew.forgetting.all() == ledger.forgetting.all() and [c.value for c in anew.forgetting.to_ask_for()] == [SECRET]
        rebuild(anew, tmp_path)  # a second start before the first cycle changes nothing
        assert anew.forgetting.all() == ledger.forgetting.all()


def test_the_file_beside_the_ledger_holds_no_fact_after_the_receipt(tmp_path: Path, ledger: Ledger) -> None:
    write_tombstones(ledger, tmp_path / FILE)
    assert not (tmp_path / FILE).exists()
    fact = secret_card()
    made = told(ledger, fact)
    ask(ledger, [fact], {made.id: ()}, since=None)
    write_tombstones(ledger, tmp_path / FILE)
    assert SECRET in (tmp_path / FILE).read_text()
    ledger.forgetting.cleared(1, [], [], LATER)
    write_tombstones(ledger, tmp_path / FILE)
    assert SECRET not in (tmp_path / FILE).read_text() and made.id in (tmp_path / FILE).read_text()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"format": 2}',
        '{"format": 1, "exchanges": [], "requests": 3, "cards": []}',
        '{"format": 1, "exchanges": [], "requests": [{"id); DROP TABLE cards; --": 1}], "cards": []}',
        '{"format": 1, "exchanges": [], "requests": [{"number": 1, "asked_at": ["x"]}], "cards": []}',
    ],
)
def test_a_file_of_tombstones_that_cannot_be_used_stops_the_start(tmp_path: Path, ledger: Ledger, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(LedgerError, match=FILE) as caught:
        rebuild(ledger, tmp_path)
    assert "backup" in caught.value.remedy
    assert ledger.forgetting.all() == [] and ledger.cards.count("learning") == 0


def test_killed_in_the_middle_nothing_was_forgotten(path: Path, ledger: Ledger) -> None:
    fact = secret_card()
    made = told(ledger, fact)
    ledger.cards.put(fact, NOW)
    ledger.close()
    code = (
        "import os, signal, sys; from pathlib import Path; from sleepd.ledger import Ledger, scrub\n"
        "from tests.ledger.conftest import NOW\n"
        "ledger = Ledger.open(Path(sys.argv[1])); card = ledger.cards.all()[0]\n"
        "scrub.everywhere = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "ledger.forgetting.ask([card], {sys.argv[2]: ()}, 'a', NOW, seen=1, since=1, settled_by=None, until=None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), made.id], timeout=60, check=False, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    with Ledger.open(path) as again:
        assert again.cards.all() == [fact] and again.experiences.get(made.id) == made
        assert again.forgetting.all() == [] and again.forgetting.compact()


def test_a_reader_in_the_way_is_noticed_and_the_file_is_rewritten_later(path: Path, ledger: Ledger) -> None:
    fact = secret_card()
    made = told(ledger, fact)
    ledger.experiences.add_many([(e, accepted(e)) for e in (experience(n) for n in range(10, 20))], "/b.json", NOW)
    ledger.database.connection.execute("PRAGMA busy_timeout = 10")
    with Ledger.open(path, readonly=True) as reader:
        held = reader.database.connection.execute("SELECT * FROM experiences")
        held.fetchone()
        number = ask(ledger, [fact], {made.id: ()}, since=None)
        ledger.forgetting.cleared(number, [], [], LATER)
        assert ledger.forgetting.compact() is False
        held.close()
    assert ledger.forgetting.compact() is True
    assert SECRET.encode() not in bytes_of(path)


@pytest.mark.parametrize("value", ["東京", "Zoë 😀", 'quo"te', "C:\\temp"])
def test_values_in_any_script_leave_the_reports(path: Path, ledger: Ledger, value: str) -> None:
    fact = secret_card(value=value, quote=f"Alda: {value}")
    ledger.cycles.begin(1, "light", "/j", NOW, "schedule")
    ledger.cycles.finish(1, "committed", [], NOW, {"note": f"Alda has {value} now", "other": "Brin has a cat"})
    ask(ledger, [fact], {})
    assert ledger.cycles.get(1).summary == {"note": "(forgotten)", "other": "Brin has a cat"}
