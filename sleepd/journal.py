"""The log: event names, and where they go (a terminal, JSON lines, or journald with structured fields).

Owns the root logger's one output. A caller takes ``logger(__name__)`` and logs an ``Event`` with fields:
``log.info(Event.CYCLE_COMMITTED, cycle=7, adapter="cycle_007")``. What libraries say through ``logging`` takes
the same way. Nothing is set up before ``configure``.
"""

from __future__ import annotations

import json
import logging
import os
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TextIO

import structlog
from structlog.stdlib import BoundLogger

from sleepd.errors import ConfigError
from sleepd.journald import JournalSocket

FORMATS = ("auto", "console", "json", "journald")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
JOURNAL_SOCKET = Path("/run/systemd/journal/socket")

_MESSAGE_IDS = uuid.UUID("5f1fa9c8-8f0e-4a39-9b8e-3c1d6f3a2b57")
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
_TALKATIVE = ("apscheduler", "asyncio", "watchdog")  # a line for every alarm and file event
_OUTSIDE_MESSAGE = ("event", "exception", "level", "logger", "timestamp")

Fields = dict[str, object]
Renderer = Callable[[Fields], str]


class Event(StrEnum):
    """What sleepd says. Names are API: alerts match them, and each has a MESSAGE_ID that the catalog explains."""

    DAEMON_STARTED = "daemon_started"
    DAEMON_READY = "daemon_ready"
    DAEMON_STOPPING = "daemon_stopping"
    DAEMON_STOPPED = "daemon_stopped"
    DAEMON_FAILED = "daemon_failed"
    COMPONENT_STALE = "component_stale"
    CONFIG_RELOADED = "config_reloaded"
    CONFIG_REJECTED = "config_rejected"
    LEDGER_REBUILT = "ledger_rebuilt"
    LEDGER_FAILED = "ledger_failed"
    BUFFER_INGESTED = "buffer_ingested"
    BUFFER_FAILED = "buffer_failed"
    BUFFER_RECOVERED = "buffer_recovered"
    ENTRIES_QUARANTINED = "entries_quarantined"
    MODEL_FAILED = "model_failed"
    PHASE_CHANGED = "phase_changed"
    DECISION_CHANGED = "decision_changed"
    PAUSED = "paused"
    RESUMED = "resumed"
    NOTHING_FOR_LONG = "nothing_for_long"
    CYCLE_STARTED = "cycle_started"
    CYCLE_STEP = "cycle_step"
    CYCLE_RECOVERED = "cycle_recovered"
    CYCLE_STOPPING = "cycle_stopping"
    CYCLE_COMMITTED = "cycle_committed"
    CYCLE_REJECTED = "cycle_rejected"
    CYCLE_ROLLED_BACK = "cycle_rolled_back"
    CYCLE_ABANDONED = "cycle_abandoned"
    CYCLE_STOPPED = "cycle_stopped"
    CHILD_STARTED = "child_started"
    CHILD_PROGRESS = "child_progress"
    CHILD_OUTPUT = "child_output"
    CHILD_RUBBISH = "child_rubbish"
    CHILD_EXITED = "child_exited"
    ADAPTER_STORED = "adapter_stored"
    ADAPTER_ACTIVATED = "adapter_activated"
    ADAPTER_VERIFIED = "adapter_verified"
    ADAPTER_NOT_VERIFIED = "adapter_not_verified"
    ADAPTER_DAMAGED = "adapter_damaged"
    ADAPTERS_PRUNED = "adapters_pruned"
    INFERENCE_RELOADED = "inference_reloaded"
    INFERENCE_FAILED = "inference_failed"
    INFERENCE_RECOVERED = "inference_recovered"
    INFERENCE_DIFFERS = "inference_differs"
    REQUEST_HANDLED = "request_handled"
    REQUEST_FAILED = "request_failed"
    FORGET_ASKED = "forget_asked"
    FORGET_FAILED = "forget_failed"
    FORGOTTEN = "forgotten"
    NOTIFY_FAILED = "notify_failed"
    SERVE_STARTED = "serve_started"
    SERVE_STOPPED = "serve_stopped"
    SERVE_RELOADED = "serve_reloaded"
    SERVE_RELOAD_FAILED = "serve_reload_failed"
    CAPTURE_FAILED = "capture_failed"

    @property
    def message_id(self) -> str:
        """The 128-bit id in the form of journalctl and the catalog; it depends on the name alone."""
        return uuid.uuid5(_MESSAGE_IDS, self.value).hex


_MESSAGE_ID_OF = {event.value: event.message_id for event in Event}


def logger(name: str) -> BoundLogger:
    """A structured logger; independent of any global structlog configuration."""
    wrapped: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=BoundLogger,
    )
    return wrapped


def configure(format: str, level: str, env: Mapping[str, str], stream: TextIO, journal: Path = JOURNAL_SOCKET) -> str:
    """Send the log to ``stream`` or to journald, and return the format that was chosen.

    ``auto`` is journald where $JOURNAL_STREAM names ``stream``, console on a terminal, JSON lines otherwise.
    Raises ConfigError and leaves the previous output in place when format, level or journald cannot be used.
    """
    if level not in LEVELS:
        raise ConfigError(f'log.level = "{level}" is no level', f"use one of {', '.join(LEVELS)}")
    if format not in FORMATS:
        raise ConfigError(f'log.format = "{format}" is no format', f"use one of {', '.join(FORMATS)}")
    chosen = _detect(env, stream, journal) if format == "auto" else format
    if chosen == "journald":
        output: _Output = _JournaldOutput(JournalSocket(journal), stream)
    else:
        output = _StreamOutput(_console(stream) if chosen == "console" else _json, stream)
    root = logging.getLogger()
    for previous in [handler for handler in root.handlers if isinstance(handler, _Output)]:
        root.removeHandler(previous)
        previous.close()
    root.addHandler(output)
    root.setLevel(LEVELS[level])
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    return chosen


def is_journal_stream(env: Mapping[str, str], stream: TextIO) -> bool:
    """Whether systemd connected ``stream`` to journald: $JOURNAL_STREAM holds its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return env.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Output(logging.Handler):
    """Marks the outputs that ``configure`` may replace."""


class _StreamOutput(_Output):
    def __init__(self, render: Renderer, stream: TextIO) -> None:
        super().__init__()
        self._render, self._stream = render, stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._stream.write(self._render(_fields(record)) + "\n")
            self._stream.flush()
        except (OSError, ValueError, TypeError, KeyError):
            self.handleError(record)


class _JournaldOutput(_Output):
    def __init__(self, journal: JournalSocket, stream: TextIO) -> None:
        super().__init__()
        self._journal, self._otherwise = journal, _StreamOutput(_json, stream)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._journal.send(journal_fields(_fields(record), record.levelno))
        except OSError:
            self._otherwise.emit(record)  # journald is away: its stream, which systemd holds open, keeps the line

    def close(self) -> None:
        self._journal.close()
        super().close()


def journal_fields(fields: Mapping[str, object], level: int) -> list[tuple[str, str]]:
    """An entry as journald stores it: MESSAGE, MESSAGE_ID, PRIORITY, and every field as SLEEPD_NAME."""
    event = str(fields["event"])
    told = " ".join(f"{key}={_word(value)}" for key, value in fields.items() if key not in _OUTSIDE_MESSAGE)
    message_id = _MESSAGE_ID_OF.get(event)
    message = event.replace("_", " ") if message_id else event
    message = f"{message}: {told}" if told else message
    if "exception" in fields:
        message += f"\n{fields['exception']}"
    entry = [
        ("MESSAGE", message),
        ("PRIORITY", str(next((priority for least, priority in _PRIORITIES if level >= least), 7))),
        ("SYSLOG_IDENTIFIER", "sleepd"),
    ]
    if message_id:
        entry.append(("MESSAGE_ID", message_id))
    entry += [(_field_name(key), _text(value)) for key, value in fields.items() if key not in ("level", "timestamp")]
    return entry


def _detect(env: Mapping[str, str], stream: TextIO, journal: Path) -> str:
    if is_journal_stream(env, stream) and journal.exists():
        return "journald"
    return "console" if stream.isatty() else "json"


def _fields(record: logging.LogRecord) -> Fields:
    """The fields of one record, ours or a library's, with time, level, logger and event first."""
    head: Fields = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
    }
    if isinstance(record.msg, dict):
        return {**head, "event": record.msg.get("event", ""), **record.msg}
    head["event"] = record.getMessage()
    if record.exc_info:
        head["exception"] = logging.Formatter().formatException(record.exc_info)
    return head


def _json(fields: Fields) -> str:
    return json.dumps(fields, default=str, ensure_ascii=False)


def _console(stream: TextIO) -> Renderer:
    renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)

    def render(fields: Fields) -> str:
        shown = {**fields, "timestamp": str(fields["timestamp"])[11:19]}
        return str(renderer(None, str(fields["level"]), shown))

    return render


def _field_name(key: str) -> str:
    return ("SLEEPD_" + re.sub(r"[^A-Z0-9_]", "_", key.upper()))[:64]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _word(value: object) -> str:
    text = _text(value)
    return json.dumps(text, ensure_ascii=False) if not text or re.search(r"[\s=\"]", text) else text
