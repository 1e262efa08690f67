"""Reloaders that run a program: an operator's own command, and ``systemctl reload``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sleepd.adapter import program
from sleepd.adapter.identity import BASE, HEALTH_SECONDS, Chat, Health
from sleepd.errors import ReloadError
from sleepd.records import Served

_STATE = ("LoadState", "ActiveState", "CanReload")


class CommandReloader:
    """Runs an argument vector, no shell, with ``{directory}`` and ``{adapter}`` filled in; exit code 0 means taken.

    Without an adapter ``{directory}`` is empty and ``{adapter}`` is ``base``.
    """

    kind = "command"

    def __init__(
        self, command: Sequence[str], timeout: float, health: Health | None, chat: Chat | None, environment: Mapping[str, str]
    ) -> None:
        self._command, self._timeout, self._health, self._chat, self._environment = tuple(command), timeout, health, chat, environment

    def reload(self, directory: Path | None, adapter_id: str | None) -> None:
        filled = [part.replace("{directory}", str(directory or "")).replace("{adapter}", adapter_id or BASE) for part in self._command]
        finished = program.run(filled, self._timeout, self._environment)
        if finished.code != 0:
            said = finished.stderr or finished.stdout or "it printed nothing"
            raise ReloadError(f"{' '.join(filled)} ended with code {finished.code}: {said}", "run it by hand; see inference.command")

    def served(self) -> Served:
        return (
            self._health.served() if self._health else Served(healthy=True, detail="inference.health_url is not set; health is not known")
        )

    def ask(self, prompt: str, max_tokens: int) -> str | None:
        return self._chat.ask(prompt, max_tokens) if self._chat else None


class SystemdReloader:
    """``systemctl reload UNIT``: the unit's own ExecReload, which follows the ``active`` link or reads it once."""

    kind = "systemd"

    def __init__(
        self,
        unit: str,
        timeout: float,
        health: Health | None,
        chat: Chat | None,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unit, self._timeout, self._health, self._chat = unit, timeout, health, chat
        self._environment, self._clock = environment, clock

    def reload(self, directory: Path | None, adapter_id: str | None) -> None:
        deadline = self._clock() + self._timeout
        state = self._state(self._timeout)
        if state["LoadState"] != "loaded":
            raise ReloadError(
                f"unit {self._unit} is {state['LoadState']}", "correct inference.unit; `systemctl list-units` shows the names"
            )
        if state["ActiveState"] not in ("active", "reloading"):
            raise ReloadError(f"unit {self._unit} is {state['ActiveState']}", f"start it with `systemctl start {self._unit}`")
        if state["CanReload"] != "yes":
            message = f"unit {self._unit} cannot be reloaded: it has no ExecReload"
            raise ReloadError(message, f"add ExecReload= with `systemctl edit {self._unit}`, or use another inference.kind")
        command = ["systemctl", "--no-ask-password", "reload", "--", self._unit]
        finished = program.run(command, max(0.1, deadline - self._clock()), self._environment)
        if finished.code != 0:
            message = f"systemctl reload {self._unit} ended with code {finished.code}: {finished.stderr or 'it printed nothing'}"
            raise ReloadError(message, f"see `journalctl -u {self._unit}`; without root a polkit rule must allow the reload")

    def served(self) -> Served:
        if self._health:
            return self._health.served()
        try:
            state = self._state(min(self._timeout, HEALTH_SECONDS))
        except ReloadError as error:
            return Served(healthy=False, detail=error.message)
        detail = f"unit {self._unit} is {state['ActiveState']}; inference.health_url is not set, so what it serves is not known"
        return Served(healthy=state["ActiveState"] in ("active", "reloading"), detail=detail)

    def ask(self, prompt: str, max_tokens: int) -> str | None:
        return self._chat.ask(prompt, max_tokens) if self._chat else None

    def _state(self, timeout: float) -> dict[str, str]:
        command = ["systemctl", "show", f"--property={','.join(_STATE)}", "--", self._unit]
        finished = program.run(command, timeout, self._environment)
        found = dict(line.split("=", 1) for line in finished.stdout.splitlines() if "=" in line)
        if finished.code != 0 or any(key not in found for key in _STATE):
            said = finished.stderr or f"code {finished.code}, {finished.stdout!r}"
            raise ReloadError(f"systemctl show {self._unit} failed: {said}", "check that systemd runs here and inference.unit is right")
        return found
