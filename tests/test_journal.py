"""Where the log goes, with a real datagram socket in journald's place and a real terminal."""

from __future__ import annotations

import array
import fcntl
import io
import json
import logging
import mmap
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from sleepd import journal
from sleepd.errors import ConfigError
from sleepd.journal import Event

NO_ENV: dict[str, str] = {}


class Journald:
    """Receives entries as journald does: datagrams, or a sealed memory file passed along with one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(10)

    def receive(self) -> dict[str, str]:
        data, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        for level, kind, content in ancillary:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS) and not data
            (descriptor,) = array.array("i", content)
            sealed = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & sealed == sealed
            with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as memory:
                data = memory[:]
            os.close(descriptor)
        return parse(data)

    def close(self) -> None:
        self.socket.close()
        self.path.unlink()


def parse(data: bytes) -> dict[str, str]:
    """journald's native format: NAME=value lines, or NAME, length and value where the value has line feeds."""
    fields: dict[str, str] = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if equals:
            data = rest
        else:
            (length,) = struct.unpack("<Q", rest[:8])
            value, data = rest[8 : 8 + length], rest[8 + length + 1 :]
            assert rest[8 + length : 8 + length + 1] == b"\n"
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", name), name
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journald() -> Iterator[Journald]:
    with tempfile.TemporaryDirectory() as directory:
        server = Journald(Path(directory) / "socket")
        yield server
        server.socket.close()


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [h for h in root.handlers if h not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@pytest.fixture
def stderr(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "stderr").open("w+") as stream:
        yield stream


def stream_env(stream: TextIO) -> dict[str, str]:
    status = os.fstat(stream.fileno())
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


class TestChoice:
    def test_journald_where_systemd_connected_the_stream(self, journald: Journald, stderr: TextIO) -> None:
        assert journal.configure("auto", "info", stream_env(stderr), stderr, journald.path) == "journald"

    @pytest.mark.parametrize("value", ["", "1:2", "rubbish", "8:"])
    def test_json_where_it_is_another_stream(self, journald: Journald, stderr: TextIO, value: str) -> None:
        assert journal.configure("auto", "info", {"JOURNAL_STREAM": value}, stderr, journald.path) == "json"

    def test_json_where_journald_has_no_socket(self, stderr: TextIO, tmp_path: Path) -> None:
        assert journal.configure("auto", "info", stream_env(stderr), stderr, tmp_path / "absent") == "json"

    def test_console_on_a_terminal(self) -> None:
        ours, theirs = os.openpty()
        with os.fdopen(theirs, "w") as terminal:
            assert journal.configure("auto", "info", NO_ENV, terminal) == "console"
            journal.logger("sleepd.test").info(Event.CYCLE_STARTED, cycle=7)
            shown = re.sub(r"\x1b\[[0-9;]*m", "", os.read(ours, 4096).decode())
        os.close(ours)
        assert re.search(r"^\d\d:\d\d:\d\d \[info *\] cycle_started .*cycle=7", shown)

    def test_a_stream_without_a_file_is_no_journal_stream(self) -> None:
        assert not journal.is_journal_stream({"JOURNAL_STREAM": "1:2"}, io.StringIO())

    @pytest.mark.parametrize("format", ["console", "json", "journald"])
    def test_the_configuration_can_force_a_format(self, journald: Journald, stderr: TextIO, format: str) -> None:
        assert journal.configure(format, "info", NO_ENV, stderr, journald.path) == format


class TestRefusal:
    """A bad log configuration keeps the previous one."""

    @pytest.mark.parametrize(("format", "level"), [("xml", "info"), ("json", "loud"), ("journald", "info")])
    def test_the_previous_output_stays(self, stderr: TextIO, tmp_path: Path, format: str, level: str) -> None:
        journal.configure("json", "info", NO_ENV, stderr)
        with pytest.raises(ConfigError) as caught:
            journal.configure(format, level, NO_ENV, io.StringIO(), tmp_path / "absent")
        assert caught.value.remedy
        log = journal.logger("sleepd.test")
        log.info(Event.CONFIG_REJECTED, error=caught.value.message)
        log.debug("not shown")
        (line,) = Path(stderr.name).read_text().splitlines()
        assert json.loads(line)["event"] == "config_rejected"

    def test_a_new_configuration_replaces_the_old_without_doubling_lines(self, stderr: TextIO) -> None:
        first = io.StringIO()
        log = journal.logger("sleepd.test").bind(cycle=7)
        journal.configure("json", "info", NO_ENV, first)
        journal.configure("json", "debug", NO_ENV, stderr)
        log.debug("shown once")
        assert first.getvalue() == ""
        (line,) = Path(stderr.name).read_text().splitlines()
        assert json.loads(line)["cycle"] == 7

    def test_handlers_of_others_stay(self, stderr: TextIO) -> None:
        foreign = logging.NullHandler()
        logging.getLogger().addHandler(foreign)
        journal.configure("json", "info", NO_ENV, stderr)
        assert foreign in logging.getLogger().handlers


class TestJson:
    def lines(self, stream: io.StringIO) -> list[dict[str, object]]:
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    def test_a_line_an_event_with_time_level_and_logger_first(self) -> None:
        stream = io.StringIO()
        journal.configure("json", "info", NO_ENV, stream)
        journal.logger("sleepd.daemon").warning(Event.BUFFER_FAILED, path=Path("/b.json"), error="line\nfeed", ü=None)
        (line,) = self.lines(stream)
        assert list(line) == ["timestamp", "level", "logger", "event", "path", "error", "ü"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", str(line["timestamp"]))
        assert {k: line[k] for k in ("level", "logger", "event", "path", "error", "ü")} == {
            "level": "warning",
            "logger": "sleepd.daemon",
            "event": "buffer_failed",
            "path": "/b.json",
            "error": "line\nfeed",
            "ü": None,
        }

    def test_what_libraries_log_takes_the_same_way(self) -> None:
        stream = io.StringIO()
        journal.configure("json", "info", NO_ENV, stream)
        logging.getLogger("some.package").warning("lost %s of %d", "x", 3)
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("some.package").exception("failed")
        first, second = self.lines(stream)
        assert (first["event"], first["logger"], first["level"]) == ("lost x of 3", "some.package", "warning")
        assert "ValueError: why" in str(second["exception"])

    def test_talkative_libraries_are_quiet_unless_debugging(self) -> None:
        stream = io.StringIO()
        for level in ("info", "debug"):
            journal.configure("json", level, NO_ENV, stream)
            logging.getLogger("apscheduler.executors.default").info("Running job")
            logging.getLogger("apscheduler.executors.default").warning("missed")
        assert [line["event"] for line in self.lines(stream)] == ["missed", "Running job", "missed"]

    def test_an_exception_is_told_with_its_trace(self) -> None:
        stream = io.StringIO()
        journal.configure("json", "info", NO_ENV, stream)
        try:
            raise RuntimeError("the child broke")
        except RuntimeError:
            journal.logger("sleepd").exception(Event.DAEMON_FAILED)
        (line,) = self.lines(stream)
        assert line["level"] == "error"
        assert "RuntimeError: the child broke" in str(line["exception"])

    def test_context_that_was_bound_for_a_while_is_in_every_line(self) -> None:
        stream = io.StringIO()
        journal.configure("json", "info", NO_ENV, stream)
        with structlog.contextvars.bound_contextvars(cycle=7, stage="train"):
            journal.logger("sleepd").info(Event.CHILD_PROGRESS)
        journal.logger("sleepd").info(Event.CHILD_EXITED)
        first, second = self.lines(stream)
        assert (first["cycle"], first["stage"]) == (7, "train")
        assert "cycle" not in second

    def test_levels_below_the_configured_one_are_dropped(self) -> None:
        stream = io.StringIO()
        journal.configure("json", "warning", NO_ENV, stream)
        log = journal.logger("sleepd")
        log.info("no")
        log.warning("yes")
        assert [line["event"] for line in self.lines(stream)] == ["yes"]


class TestJournald:
    @pytest.fixture
    def log(self, journald: Journald, stderr: TextIO) -> structlog.stdlib.BoundLogger:
        journal.configure("journald", "debug", NO_ENV, stderr, journald.path)
        return journal.logger("sleepd.daemon.cycle")

    def test_an_event_has_its_message_id_priority_and_fields(self, log: structlog.stdlib.BoundLogger, journald: Journald) -> None:
        log.warning(Event.CYCLE_REJECTED, cycle=7, stage="GATE", phase="NIGHT", adapter="cycle_007", reasons=["recall: 1 of 4"])
        entry = journald.receive()
        assert entry == {
            "MESSAGE": 'cycle rejected: cycle=7 stage=GATE phase=NIGHT adapter=cycle_007 reasons="[\\"recall: 1 of 4\\"]"',
            "MESSAGE_ID": Event.CYCLE_REJECTED.message_id,
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "sleepd",
            "SLEEPD_EVENT": "cycle_rejected",
            "SLEEPD_LOGGER": "sleepd.daemon.cycle",
            "SLEEPD_CYCLE": "7",
            "SLEEPD_STAGE": "GATE",
            "SLEEPD_PHASE": "NIGHT",
            "SLEEPD_ADAPTER": "cycle_007",
            "SLEEPD_REASONS": '["recall: 1 of 4"]',
        }

    @pytest.mark.parametrize(("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")])
    def test_levels_are_syslog_priorities(self, log: structlog.stdlib.BoundLogger, journald: Journald, level: str, priority: str) -> None:
        getattr(log, level)(Event.DAEMON_STARTED)
        assert journald.receive()["PRIORITY"] == priority

    def test_line_feeds_and_every_script_survive(self, log: structlog.stdlib.BoundLogger, journald: Journald) -> None:
        log.info(Event.CHILD_OUTPUT, line="a\nb=c\n", other="naïve 😀", empty="", half="\ud83d")
        entry = journald.receive()
        assert (entry["SLEEPD_LINE"], entry["SLEEPD_OTHER"], entry["SLEEPD_EMPTY"], entry["SLEEPD_HALF"]) == (
            "a\nb=c\n",
            "naïve 😀",
            "",
            "?",
        )

    def test_a_library_line_has_no_message_id(self, log: structlog.stdlib.BoundLogger, journald: Journald) -> None:
        logging.getLogger("some.package").error("lost %d", 3)
        entry = journald.receive()
        assert (entry["MESSAGE"], entry["PRIORITY"], entry["SLEEPD_LOGGER"]) == ("lost 3", "3", "some.package")
        assert "MESSAGE_ID" not in entry

    def test_an_exception_is_in_the_message_and_in_a_field(self, log: structlog.stdlib.BoundLogger, journald: Journald) -> None:
        try:
            raise RuntimeError("the child broke")
        except RuntimeError:
            log.exception(Event.DAEMON_FAILED)
        entry = journald.receive()
        assert entry["MESSAGE"].startswith("daemon failed\nTraceback")
        assert "RuntimeError: the child broke" in entry["SLEEPD_EXCEPTION"]

    def test_field_names_are_made_valid(self, log: structlog.stdlib.BoundLogger, journald: Journald) -> None:
        log.info(Event.CYCLE_STEP, **{"tokens/s": 3, "x" * 100: 1})
        entry = journald.receive()
        assert entry["SLEEPD_TOKENS_S"] == "3"
        assert "SLEEPD_" + "X" * 57 in entry

    def test_an_entry_larger_than_a_datagram_is_passed_as_a_memory_file(
        self, log: structlog.stdlib.BoundLogger, journald: Journald
    ) -> None:
        long = "0123456789abcdef\n" * 40_000
        log.info(Event.CHILD_OUTPUT, line=long)
        assert journald.receive()["SLEEPD_LINE"] == long
        log.info(Event.CHILD_EXITED)
        assert journald.receive()["SLEEPD_EVENT"] == "child_exited"

    def test_a_restarted_journald_gets_the_next_entries_and_the_stream_those_between(
        self, log: structlog.stdlib.BoundLogger, journald: Journald, stderr: TextIO
    ) -> None:
        log.info("first")
        assert journald.receive()["MESSAGE"] == "first"
        journald.close()
        log.info(Event.CYCLE_STEP, step="TRAIN")
        again = Journald(journald.path)
        try:
            log.info("third")
            assert again.receive()["MESSAGE"] == "third"
        finally:
            again.socket.close()
        (line,) = Path(stderr.name).read_text().splitlines()
        assert json.loads(line)["step"] == "TRAIN"

    def test_a_journald_that_does_not_read_cannot_hold_up_the_daemon(
        self, journald: Journald, stderr: TextIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sleepd.journald.SEND_SECONDS", 0.05)
        journal.configure("journald", "info", NO_ENV, stderr, journald.path)
        for number in range(2000):
            journal.logger("sleepd").info("fills the queue", number=number)
            if Path(stderr.name).stat().st_size:
                break
        assert json.loads(Path(stderr.name).read_text().splitlines()[0])["number"] == number


class TestEvents:
    def test_message_ids_are_unique_and_never_change(self) -> None:
        ids = [event.message_id for event in Event]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[0-9a-f]{32}", message_id) for message_id in ids)
        assert Event.CYCLE_COMMITTED.message_id == "c1b124cb52cf5e5aa82189a9b8de7106"

    def test_names_say_what_the_constants_say(self) -> None:
        assert all(event.value == event.name.lower() for event in Event)


def test_importing_the_journal_changes_no_logging() -> None:
    code = "import logging, sleepd.journal; print(logging.getLogger().handlers, logging.getLogger().level)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout == "[] 30\n"
