"""The error tree and the exit codes. Every error carries its remedy; both are shown once, where it is handled."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a sleepd process tells the shell. These numbers are API."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_DAEMON = 3
    NOT_FOUND = 4
    REFUSED = 5
    SKIPPED = 75


class ChildExit(IntEnum):
    """What the child of one cycle tells the daemon."""

    DONE = 0
    BAD_JOB = 3
    BAD_DATA = 4
    OUT_OF_MEMORY = 5
    CHECKPOINTED = 75


class SleepdError(Exception):
    """An error with its remedy. ``message`` names the thing and its value, ``remedy`` what to do."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class ConfigError(SleepdError):
    """A configuration that cannot be used."""

    exit_code = ExitCode.USAGE


class NoDaemonError(SleepdError):
    """Nothing answers on the control socket."""

    exit_code = ExitCode.NO_DAEMON


class NotFoundError(SleepdError):
    """A cycle, file or memory that does not exist."""

    exit_code = ExitCode.NOT_FOUND


class RefusedError(SleepdError):
    """The gate said no."""

    exit_code = ExitCode.REFUSED


class SkippedError(SleepdError):
    """Nothing is wrong, but it is not done now."""

    exit_code = ExitCode.SKIPPED


class BufferError(SleepdError):
    """An experience buffer that cannot be read."""


class TornBufferError(BufferError):
    """A buffer that ends in the middle: its writer is at work, or stopped half-way. Worth another look."""


class LedgerError(SleepdError):
    """A ledger that is damaged, of another version, in use by another writer, or on a full disk."""


class ModelError(SleepdError):
    """A base model that is missing, is not a model, or is not the one that was pinned."""


class StoreError(SleepdError):
    """An adapter directory that is incomplete, changed, or cannot be written."""


class ReloadError(SleepdError):
    """The inference service did not take or does not serve the adapter."""


class ReloadUnknownError(ReloadError):
    """The deadline passed without an answer: the service may have taken the adapter or not. Ask for its identity."""


class BadJobError(SleepdError):
    """A job directory that the child cannot work with (child exit 3)."""


class BadDataError(SleepdError):
    """Data from which nothing can be trained (child exit 4)."""
