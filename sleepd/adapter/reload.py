"""Telling the inference service to take an adapter: one protocol, and the choice of a kind by configuration.

A reloader hands over the resolved directory of one generation, never the ``active`` link: servers remember the
path and read it again later. It never moves a link and never decides on a rollback.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sleepd.adapter.identity import Chat, Health
from sleepd.adapter.reload_http import HttpReloader, SleepdReloader
from sleepd.adapter.reload_none import NoReloader
from sleepd.adapter.reload_program import CommandReloader, SystemdReloader
from sleepd.adapter.reload_signal import SignalReloader
from sleepd.errors import ConfigError
from sleepd.records import Served

KINDS = ("none", "signal", "systemd", "http", "command", "sleepd")


class Reloader(Protocol):
    """One way to an inference service. Every call ends within the configured timeout."""

    @property
    def kind(self) -> str: ...

    def reload(self, directory: Path | None, adapter_id: str | None) -> None:
        """Make the service take the adapter in ``directory`` (both None: the base model alone).

        Returning proves only that the service took the message. Raises ReloadError when it refused or is down,
        ReloadUnknownError when a deadline passed and its identity does not tell.
        """
        ...

    def served(self) -> Served:
        """What the service says it serves. A service that is down is unhealthy, not an error."""
        ...

    def ask(self, prompt: str, max_tokens: int) -> str | None:
        """Its greedy answer to one prompt in a fresh context, or None when this kind cannot ask. Raises ReloadError."""
        ...


class InferenceSettings(Protocol):
    """What this package needs of the configuration's inference section."""

    @property
    def kind(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def signal(self) -> str: ...
    @property
    def pid_file(self) -> str: ...
    @property
    def command(self) -> Sequence[str]: ...
    @property
    def reload_url(self) -> str: ...
    @property
    def reload_body(self) -> str: ...
    @property
    def health_url(self) -> str: ...
    @property
    def health_adapter_path(self) -> str: ...
    @property
    def timeout_seconds(self) -> float: ...
    @property
    def chat_url(self) -> str: ...
    @property
    def model_name(self) -> str: ...


def make(settings: InferenceSettings, environment: Mapping[str, str] | None = None) -> Reloader:
    """The reloader that the configuration names; raises ConfigError when a key that its kind needs is missing or wrong.

    ``environment``: for the programs that a kind runs, this process's when None.
    """
    timeout, programs = settings.timeout_seconds, os.environ if environment is None else environment
    health = Health(settings.health_url, settings.health_adapter_path, timeout) if settings.health_url else None
    chat = Chat(settings.chat_url, settings.model_name, timeout) if settings.chat_url else None
    match settings.kind:
        case "none":
            return NoReloader()
        case "signal":
            return SignalReloader(_signal(settings.signal), Path(_needed(settings, "pid_file")).expanduser(), health, chat)
        case "systemd":
            return SystemdReloader(_needed(settings, "unit"), timeout, health, chat, programs)
        case "http":
            return HttpReloader(_needed(settings, "reload_url"), settings.reload_body, timeout, health, chat)
        case "command":
            if not settings.command or not settings.command[0]:
                raise ConfigError("inference.kind is command and inference.command is empty", "set inference.command to a list of words")
            return CommandReloader(settings.command, timeout, health, chat, programs)
        case "sleepd":
            return SleepdReloader(_needed(settings, "url"), settings.model_name, timeout)
    raise ConfigError(f"inference.kind is {settings.kind!r}", f"use one of {', '.join(KINDS)}")


def _needed(settings: InferenceSettings, key: str) -> str:
    value = str(getattr(settings, key))
    if not value:
        raise ConfigError(f"inference.kind is {settings.kind} and inference.{key} is empty", f"set inference.{key}")
    return value


def _signal(name: str) -> signal.Signals:
    if name not in signal.Signals.__members__ or name in ("SIGKILL", "SIGSTOP"):
        raise ConfigError(f"inference.signal is {name!r}, not a signal that a process can catch", "use a name such as SIGHUP")
    return signal.Signals[name]
