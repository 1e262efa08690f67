"""What reaches the ledger from a buffer that its writer rewrites, tears, shrinks, merges, breaks and removes."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from sleepd.experience.ingest import Ingestor, IngestReport
from sleepd.experience.screen import Screen, ScreenLimits
from sleepd.ledger import Ledger
from tests.experience.conftest import FORMS, NOW, Entry, as_lines, as_list, entry, many

SAMPLES = 3


def look(ingestor: Ingestor, path: Path, content: str | bytes | None = None) -> IngestReport:
    """Rewrite the file in place as real writers do, then look at it."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, ns=(0, time.time_ns()))  # two writes within one tick of the clock must differ
    return ingestor.ingest(path, NOW)


@pytest.mark.parametrize("form", FORMS)
def test_only_what_is_new_is_added_in_every_form(tmp_path: Path, ledger: Ledger, ingestor: Ingestor, form: str) -> None:
    entries, path = many(30), tmp_path / "buffer.json"
    assert look(ingestor, path, FORMS[form](entries[:20])).added == 20
    assert look(ingestor, path).added == 0
    report = look(ingestor, path, FORMS[form](entries))
    assert (report.added, report.usable_added, report.torn, report.error) == (10, 10, False, None)
    assert report.state.entries == 30
    assert [e.id for e in ledger.experiences.tail(50)] == [e["id"] for e in entries]


def test_old_entries_are_not_parsed_again_when_the_beginning_is_the_same(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    """Only the hash of the old bytes is compared: a break inside them would otherwise be seen."""
    entries, path = many(5), tmp_path / "buffer.json"
    first = look(ingestor, path, as_list(entries[:4]))
    content = path.read_bytes()
    broken = content[:50] + b"\x00" + content[51:]
    state = first.state
    import hashlib
    from dataclasses import replace

    ledger.sources.put(replace(state, prefix_sha256=hashlib.sha256(broken[: state.offset]).hexdigest()))
    grown = broken[: state.offset] + b",\n  " + json.dumps(entries[4]).encode() + b"\n]"
    assert look(ingestor, path, grown).added == 1


@pytest.mark.parametrize("form", ["list", "dict", "jsonl"])
def test_a_shrunken_merged_or_reordered_buffer_adds_only_unknown_ids(tmp_path: Path, ledger: Ledger, ingestor: Ingestor, form: str) -> None:
    entries, path = many(12), tmp_path / "buffer.json"
    look(ingestor, path, FORMS[form](entries[:8]))
    assert look(ingestor, path, FORMS[form](entries[5:8])).added == 0
    assert look(ingestor, path, FORMS[form](entries[6:10])).added == 2
    merged = entries[:]
    random.Random(1).shuffle(merged)
    assert look(ingestor, path, FORMS[form](merged)).added == 2
    assert ledger.experiences.totals().experiences == 12


def test_a_buffer_that_changes_its_form_is_read_again(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    entries, path = many(6), tmp_path / "buffer.json"
    for count, form in enumerate(("list", "jsonl", "dict", "flat"), start=3):
        report = look(ingestor, path, FORMS[form](entries[:count]))
        assert report.error is None and report.added == (3 if count == 3 else 1)


def test_an_id_that_occurs_twice_is_one_experience(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    entries = many(2)
    assert look(ingestor, tmp_path / "b.json", as_list([entries[0], entries[1], entries[0]])).added == 2
    assert look(ingestor, tmp_path / "other.json", as_list(entries)).added == 0


@pytest.mark.parametrize("form", ["list", "flat", "dict"])
def test_a_torn_document_changes_nothing_and_is_read_when_it_is_whole(
    tmp_path: Path, ledger: Ledger, ingestor: Ingestor, form: str
) -> None:
    entries, path = many(6), tmp_path / "buffer.json"
    before = look(ingestor, path, FORMS[form](entries[:3])).state
    whole = FORMS[form](entries)
    for end in (0, 1, len(whole) // 2, len(whole) - 2):
        report = look(ingestor, path, whole[:end])
        assert report.torn and report.error and report.added == 0
        assert ledger.sources.get(str(path)) == before
        assert look(ingestor, path).torn, "it is looked at again, changed or not"
    assert look(ingestor, path, whole).added == 3


def test_a_line_that_is_still_written_is_read_when_it_is_whole(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    entries, path = many(4), tmp_path / "buffer.jsonl"
    whole = as_lines(entries)
    report = look(ingestor, path, whole[:-25])
    assert (report.added, report.torn, report.quarantined) == (3, True, 0)
    again = look(ingestor, path)
    assert (again.added, again.torn) == (0, True)
    finished = look(ingestor, path, whole)
    assert (finished.added, finished.torn, finished.error) == (1, False, None)
    assert ledger.quarantine.count() == 0


def test_a_last_line_without_its_newline_is_whole_when_it_is_json(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    entries, path = many(3), tmp_path / "buffer.jsonl"
    assert look(ingestor, path, as_lines(entries[:2]).rstrip("\n")).added == 2
    assert look(ingestor, path, as_lines(entries)).added == 1


def test_a_bad_entry_is_quarantined_with_its_place_and_met_again_counts_once(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    entries, path = many(3), tmp_path / "buffer.json"
    bad = entry("p", "r", session="x")
    report = look(ingestor, path, as_list([entries[0], bad, entries[1]]))
    assert (report.added, report.quarantined, report.error) == (2, 1, None)
    look(ingestor, path, as_list([entries[2], entries[0], bad, entries[1]]))
    (row,) = ledger.quarantine.list(10)
    assert row.kind == "entry" and str(path) in row.reason and "session is a text" in row.reason
    assert ledger.experiences.totals().experiences == 3


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"no json", "is not JSON"),
        (b'[{"prompt": "caf\xe9"}]', "not UTF-8"),
        (b'{"a": 1}', "without"),
        (b"[" * 100_000 + b"]" * 100_000, "nested"),
    ],
)
def test_a_broken_buffer_is_an_error_until_it_is_repaired(
    tmp_path: Path, ledger: Ledger, ingestor: Ingestor, content: bytes, named: str
) -> None:
    entries, path = many(4), tmp_path / "buffer.json"
    look(ingestor, path, as_list(entries[:3]))
    report = look(ingestor, path, content)
    assert report.error and named in report.error and not report.torn and report.added == 0
    assert look(ingestor, path).error == report.error, "the same bytes are not read again, and not forgotten"
    assert ledger.experiences.totals().experiences == 3
    repaired = look(ingestor, path, as_list(entries))
    assert (repaired.added, repaired.error) == (1, None)
    assert repaired.state.error is None


def test_a_buffer_over_the_limit_is_an_error_and_is_read_under_a_higher_one(tmp_path: Path, ledger: Ledger) -> None:
    path = tmp_path / "buffer.json"
    small = Ingestor(ledger, Screen(ScreenLimits()), max_bytes=1000)
    report = look(small, path, as_list(many(20)))
    assert report.error and "max_buffer_mb" in report.error
    assert Ingestor(ledger, Screen(ScreenLimits())).ingest(path, NOW).added == 20


def test_a_buffer_that_vanishes_and_returns_goes_on_where_it_was(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    entries, path = many(5), tmp_path / "buffer.json"
    look(ingestor, path, as_list(entries[:3]))
    away = path.rename(tmp_path / "away.json")
    gone = look(ingestor, path)
    assert gone.error and "there is no buffer" in gone.error
    away.rename(path)
    back = look(ingestor, path)
    assert (back.added, back.error, back.state.error) == (0, None, None)
    assert look(ingestor, path, as_list(entries)).added == 2


def test_a_buffer_that_never_was_is_no_error(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    report = look(ingestor, tmp_path / "later.json")
    assert (report.error, report.torn, report.added) == (None, False, 0)


def test_a_replaced_file_is_read_by_ids(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    entries, path = many(5), tmp_path / "buffer.json"
    look(ingestor, path, as_list(entries[:3]))
    other = tmp_path / "new.json"
    other.write_text(as_list(entries[2:]))
    other.rename(path)
    assert look(ingestor, path).added == 2


def test_the_buffer_is_never_written(tmp_path: Path, ledger: Ledger, ingestor: Ingestor) -> None:
    path = tmp_path / "buffer.json"
    path.write_text(as_list(many(5)))
    path.chmod(0o400)
    before = path.stat()
    look(ingestor, path)
    assert path.stat() == before
    assert {p.name for p in tmp_path.iterdir()} - {"buffer.json"} <= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}


def test_a_killed_ingest_is_finished_by_the_next(tmp_path: Path, ledger: Ledger) -> None:
    """The crash comes between two batches: the first are durable, the place in the file is not."""
    entries, path = many(500), tmp_path / "buffer.json"
    path.write_text(as_list(entries))

    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        Ingestor(ledger, Screen(ScreenLimits()), between=kill).ingest(path, NOW)
    assert 0 < ledger.experiences.totals().experiences < 500
    assert ledger.sources.get(str(path)) is None
    report = Ingestor(ledger, Screen(ScreenLimits())).ingest(path, NOW)
    assert ledger.experiences.totals().experiences == 500
    assert report.added < 500


def test_verdicts_are_the_same_at_once_and_one_by_one(tmp_path: Path) -> None:
    entries = [*many(12), entry("Why?", "What is next? " * 12), entry("Tell me a secret", "x " + "very " * 30), *many(3, seed=4)]
    verdicts = []
    for step in (len(entries), 1):
        with Ledger.open(tmp_path / f"{step}.db") as ledger:
            path = tmp_path / f"{step}.json"
            ingestor = Ingestor(ledger, Screen(ScreenLimits()))
            for count in range(step, len(entries) + 1, step):
                look(ingestor, path, as_list(entries[:count]))
            verdicts.append([ledger.experiences.verdict(e["id"]) for e in entries])
    assert verdicts[0] == verdicts[1]


def _append(path: Path, form: str, entries: list[Entry], added: Entry) -> None:
    if form == "jsonl":
        with path.open("a") as handle:
            handle.write(json.dumps(added) + "\n")
    else:
        path.write_text(FORMS[form]([*entries, added]))


@pytest.mark.parametrize("form", ["list", "flat", "jsonl"])
def test_one_entry_more_costs_a_small_share_of_the_first_ingest(tmp_path: Path, ledger: Ledger, ingestor: Ingestor, form: str) -> None:
    entries, path = many(1500), tmp_path / "buffer.json"
    path.write_text(FORMS[form](entries))
    began = time.process_time()
    assert ingestor.ingest(path, NOW).added == 1500
    first = time.process_time() - began
    later = []
    for added in many(SAMPLES, seed=9):
        _append(path, form, entries, added)
        entries.append(added)
        began = time.process_time()
        assert ingestor.ingest(path, NOW).added == 1
        later.append(time.process_time() - began)
    assert min(later) < 0.1 * first
    assert min(later) < 1.0


def test_a_large_buffer_does_not_stay_in_memory(tmp_path: Path) -> None:
    """40 MB of one file, in a process of its own that only ingests."""
    import subprocess
    import sys

    path = tmp_path / "buffer.json"
    path.write_text(as_list([{**e, "metadata": {"text": "x" * 4000}} for e in many(1000)] * 10))
    script = (
        "import sys\nfrom pathlib import Path\nfrom datetime import datetime,UTC\n"
        "from sleepd.ledger import Ledger\nfrom sleepd.experience.ingest import Ingestor\n"
        "from sleepd.experience.screen import Screen,ScreenLimits\n"
        "with Ledger.open(Path(sys.argv[2])) as ledger:\n"
        "    assert Ingestor(ledger,Screen(ScreenLimits())).ingest(Path(sys.argv[1]),datetime.now(UTC)).added==1000\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path), str(tmp_path / "l.db")], capture_output=True, text=True, check=True)
    assert path.stat().st_size > 40e6
    assert int(done.stdout) < 60_000, "kilobytes"
