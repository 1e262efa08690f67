"""Which daemon a command line means: the options that say so, where its socket is, and the call to it.

The socket is found without validating the whole configuration, so that ``sleepd status`` answers at once and works beside a
configuration that a reload would reject.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sleepd.config import Loaded

ANSWER_SECONDS = 30.0


@dataclass
class Target:
    """What the command line said about the daemon and about the output. Filled in while the options are parsed."""

    config_file: Path | None = None
    instance: str | None = None
    json: bool = False

    def load(self) -> Loaded:
        """The whole configuration, validated. Takes a tenth of a second: for verbs that need more than the socket."""
        from sleepd.config import load

        return load(self.config_file, self.instance, os.environ)

    def socket(self) -> Path:
        from sleepd.cli.socket import find

        return find(self.config_file, self.instance, os.environ)

    def call(self, command: str, args: Mapping[str, Any] | None = None, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """Ask the running daemon. Raises NoDaemonError, or what the daemon refused with."""
        from sleepd.control.client import call

        return call(self.socket(), command, args or {}, timeout)


def asker(environment: Mapping[str, str]) -> str:
    """Who asks, for the log: user@terminal, and the person behind sudo rather than root."""
    import getpass

    try:
        user = environment.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name; KeyError before Python 3.13
        user = f"uid {os.getuid()}"
    for descriptor in (0, 1, 2):
        if os.isatty(descriptor):
            return f"{user}@{os.ttyname(descriptor).removeprefix('/dev/')}"
    return f"{user}@-"
