from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sleepd.errors import LedgerError, NotFoundError
from sleepd.ledger import Ledger
from sleepd.ledger.database import stamp
from sleepd.ledger.schema import MIGRATIONS, VERSION
from sleepd.records import Totals
from tests.ledger.conftest import NOW, accepted, experience

ROOT = Path(__file__).parents[2]
V1_SCRIPT = Path(__file__).with_name("schema_v1.sql")


def test_a_writer_has_the_pragmas_that_durability_needs(ledger: Ledger) -> None:
    db = ledger.database

    def pragma(name: str) -> object:
        row = db.row(f"PRAGMA {name}")
        return None if row is None else row[0]

    assert (pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys"), pragma("user_version")) == ("wal", 2, 1, VERSION)


def test_a_ledger_of_version_1_is_upgraded_and_keeps_everything(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(V1_SCRIPT.read_text())
    connection.close()
    with Ledger.open(path) as ledger:
        assert ledger.experiences.totals() == Totals(experiences=3, usable=2, examples=1, with_cards=1, new=1)
        assert ledger.experiences.rejected_by_reason() == {"short": 2, "secret": 1}
        assert ledger.experiences.session_counts() == {7: 2}
        assert ledger.experiences.prompt_count("How are you?") == 2
        assert ledger.experiences.own_count() == 1
        assert [e.id for e, _ in ledger.experiences.pending()] == ["e2"]
        assert ledger.cycles.get(1).verdict == "committed"
        new = experience(9, prompt="how are you?")
        ledger.experiences.add(new, accepted(new), "a", NOW)
        assert ledger.experiences.prompt_count("How are you?") == 3
    with Ledger.open(path, readonly=True) as ledger:
        assert ledger.experiences.totals().experiences == 4


def test_version_1_as_it_was_released_never_changes() -> None:
    """The kept script must stay what version 1 was; a change of a table is a new migration."""
    kept, coded = sqlite3.connect(":memory:"), sqlite3.connect(":memory:")
    kept.executescript(V1_SCRIPT.read_text())
    for statement in MIGRATIONS[0]:
        coded.execute(statement)
    query = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name"
    assert [tuple(r) for r in kept.execute(query)] == [tuple(r) for r in coded.execute(query)]


def test_an_upgrade_that_fails_leaves_the_old_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(V1_SCRIPT.read_text())
    connection.execute("CREATE TABLE tallies (in_the_way INTEGER)")
    connection.close()
    with pytest.raises(LedgerError):
        Ledger.open(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'totals'").fetchone() == (0,)
    connection.close()


def test_a_ledger_of_a_newer_sleepd_is_refused(path: Path) -> None:
    Ledger.open(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    for readonly in (False, True):
        with pytest.raises(LedgerError, match=f"format {VERSION + 1}") as caught:
            Ledger.open(path, readonly)
        assert "newer" in caught.value.remedy


def test_a_reader_does_not_upgrade(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(V1_SCRIPT.read_text())
    connection.close()
    with pytest.raises(LedgerError, match="format 1") as caught:
        Ledger.open(path, readonly=True)
    assert "start the daemon" in caught.value.remedy


def test_a_missing_ledger_is_not_found_and_not_made_by_a_reader(path: Path) -> None:
    with pytest.raises(NotFoundError, match=str(path)) as caught:
        Ledger.open(path, readonly=True)
    assert caught.value.exit_code == 4
    assert caught.value.remedy
    assert not path.exists()


def test_a_writer_in_a_missing_directory_names_the_directory(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        Ledger.open(tmp_path / "absent" / "ledger.db")
    assert str(tmp_path / "absent") in caught.value.remedy


def test_a_reader_sees_the_last_commit_while_a_writer_is_at_work(path: Path, ledger: Ledger) -> None:
    first, second = experience(1), experience(2)
    ledger.experiences.add(first, accepted(first), "a", NOW)
    with Ledger.open(path, readonly=True) as reader, ledger.transaction():
        ledger.experiences.add(second, accepted(second), "a", NOW)
        assert reader.experiences.totals().experiences == 1
        assert ledger.experiences.totals().experiences == 2
    with Ledger.open(path, readonly=True) as reader:
        assert reader.experiences.totals().experiences == 2


def test_a_reader_cannot_write(path: Path, ledger: Ledger) -> None:
    with Ledger.open(path, readonly=True) as reader, pytest.raises(LedgerError, match="readonly"):
        reader.values.set("paused", True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may read the directory and not write it")
@pytest.mark.parametrize("running", [True, False])
def test_a_user_without_write_access_can_read(running: bool) -> None:
    home = Path(tempfile.mkdtemp())
    try:
        home.chmod(0o755)
        path = home / "ledger.db"
        ledger = Ledger.open(path)
        e = experience(1)
        ledger.experiences.add(e, accepted(e), "a", NOW)
        if not running:
            ledger.close()
        code = (
            "import os, sys; from pathlib import Path; from sleepd.ledger import Ledger\n"
            "os.setgid(65534); os.setuid(65534)\n"
            "with Ledger.open(Path(sys.argv[1]), readonly=True) as ledger: print(ledger.experiences.totals().experiences)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
        assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
        ledger.close()
    finally:
        shutil.rmtree(home)


def test_a_second_writer_is_told_who_is_in_the_way(path: Path, ledger: Ledger) -> None:
    with Ledger.open(path) as other:
        other.database.connection.execute("PRAGMA busy_timeout = 10")
        with ledger.transaction(), pytest.raises(LedgerError, match="locked") as caught:
            other.values.set("paused", True)
    assert "another process" in caught.value.remedy


def test_a_file_that_is_no_database_is_damaged(path: Path) -> None:
    path.write_bytes(b"this was a ledger once" * 100)
    for readonly in (False, True):
        with pytest.raises(LedgerError, match=f"{path} is damaged") as caught:
            Ledger.open(path, readonly)
        assert "rebuilt" in caught.value.remedy


def test_a_page_of_rubbish_is_found_when_it_is_read(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.experiences.add_many([(e, accepted(e)) for e in (experience(n) for n in range(500))], "a", NOW)
    content = bytearray(path.read_bytes())
    content[8192:-4096] = os.urandom(len(content) - 8192 - 4096)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="damaged"), Ledger.open(path) as ledger:
        ledger.experiences.pending()
        ledger.experiences.unknown_ids([experience(n).id for n in range(500)])


def test_a_full_disk_names_the_file_and_loses_nothing(path: Path, ledger: Ledger) -> None:
    first = experience(1)
    ledger.experiences.add(first, accepted(first), "a", NOW)
    pages = ledger.database.row("PRAGMA page_count")
    assert pages is not None
    ledger.database.row(f"PRAGMA max_page_count = {pages[0] + 2}")
    many = [experience(n) for n in range(2, 500)]
    with pytest.raises(LedgerError, match=str(path)) as caught:
        ledger.experiences.add_many([(e, accepted(e)) for e in many], "a", NOW)
    assert "full" in caught.value.message
    assert str(path.parent) in caught.value.remedy
    assert ledger.experiences.totals().experiences == 1
    ledger.database.row("PRAGMA max_page_count = 1000000")
    assert ledger.experiences.add_many([(e, accepted(e)) for e in many], "a", NOW) == len(many)


def test_a_file_system_that_is_really_full(tmp_path: Path) -> None:
    """A tmpfs of one mebibyte in a mount namespace of its own."""
    code = (
        "import sys; from pathlib import Path; from sleepd.errors import LedgerError; from sleepd.ledger import Ledger\n"
        "from tests.ledger.conftest import NOW, accepted, experience\n"
        "ledger = Ledger.open(Path(sys.argv[1]) / 'ledger.db')\n"
        "e = experience(-1); ledger.experiences.add(e, accepted(e), 'a', NOW)\n"
        "for start in range(0, 100000, 500):\n"
        "    try:\n"
        "        es = [experience(n, prompt='long ' * 100) for n in range(start, start + 500)]\n"
        "        ledger.experiences.add_many([(e, accepted(e)) for e in es], 'a', NOW)\n"
        "    except LedgerError as error:\n"
        "        print(error.message); print(error.remedy); print(ledger.experiences.totals().experiences % 500); break\n"
    )
    script = f'mount -t tmpfs -o size=1m none "{tmp_path}" && exec "{sys.executable}" -c "$0" "{tmp_path}"'
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not permitted here")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, code], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    message, remedy, left = done.stdout.splitlines() or [done.stderr, "", ""]
    assert "the disk is full" in message and str(tmp_path) in message
    assert "free some space" in remedy
    assert left == "1"


def test_a_caught_failure_inside_a_transaction_undoes_only_its_own_part(ledger: Ledger) -> None:
    with ledger.transaction():
        ledger.values.set("kept", 1)
        with pytest.raises(RuntimeError), ledger.transaction():
            ledger.values.set("dropped", 1)
            raise RuntimeError
        ledger.values.set("also kept", 1)
    assert [ledger.values.get(k) for k in ("kept", "dropped", "also kept")] == [1, None, 1]


def test_a_failure_undoes_the_whole_outer_transaction(ledger: Ledger) -> None:
    with pytest.raises(RuntimeError), ledger.transaction():
        ledger.values.set("dropped", 1)
        with ledger.transaction():
            ledger.values.set("dropped too", 1)
        raise RuntimeError
    assert ledger.values.get("dropped") is None
    assert ledger.values.get("dropped too") is None
    ledger.values.set("afterwards", 1)
    assert ledger.values.get("afterwards") == 1


def test_a_killed_writer_leaves_whole_transactions(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from sleepd.ledger import Ledger\n"
        "ledger = Ledger.open(Path(sys.argv[1]))\n"
        "with ledger.transaction(): ledger.values.set('first', 1); ledger.values.set('second', 1)\n"
        "with ledger.transaction():\n"
        "    ledger.values.set('first', 2)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=60, check=False, cwd=ROOT)
    assert done.returncode == -9
    with Ledger.open(path) as ledger:
        assert (ledger.values.get("first"), ledger.values.get("second")) == (1, 1)


def test_a_ledger_belongs_to_the_thread_that_opened_it(ledger: Ledger) -> None:
    caught: list[BaseException] = []

    def use() -> None:
        try:
            ledger.values.get("paused")
        except sqlite3.ProgrammingError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(10)
    assert len(caught) == 1


def test_times_are_stored_in_utc_and_naive_ones_refused() -> None:
    assert stamp(datetime(2026, 1, 1, 12, tzinfo=UTC)) == "2026-01-01T12:00:00+00:00"
    with pytest.raises(ValueError, match="aware"):
        stamp(datetime(2026, 1, 1, 12))


def test_the_ledger_is_stdlib_and_base_only() -> None:
    code = (
        "import sys, sleepd.ledger, sleepd.ledger.exports\n"
        "print(sorted({'pydantic', 'structlog', 'torch', 'numpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"
