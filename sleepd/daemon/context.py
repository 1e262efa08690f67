"""What the steps of a cycle may use, and the run they work on. Values and ports only, no behaviour of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sleepd.adapter.reload import Reloader
from sleepd.adapter.store import AdapterStore
from sleepd.config import Loaded
from sleepd.daemon.supervisor import Child, Supervisor
from sleepd.ledger import Ledger
from sleepd.records import CycleKind, Progress, Verdict

SWITCH = "switch"
"""The ledger value in which a switch by hand keeps its step, as a cycle keeps it in its row."""


@dataclass
class Context:
    """Shared by all steps. ``loaded`` and ``reloader`` are replaced when the configuration is reloaded."""

    ledger: Ledger
    store: AdapterStore
    supervisor: Supervisor
    loaded: Loaded
    reloader: Reloader
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    wait: Callable[[float], object]

    @property
    def jobs(self) -> Path:
        return self.loaded.directories.state / "jobs"


@dataclass
class Run:
    """One way through the step table: a cycle with its number, or a switch by hand (``number`` None).

    ``data`` is what the ledger holds for the step; everything else can be rebuilt from it.
    """

    number: int | None
    kind: CycleKind
    job_dir: Path | None
    requested_by: str
    started: datetime
    step: str
    data: dict[str, Any]
    progress: Progress | None = None
    child: Child | None = None
    child_since: float = 0.0
    stop_reason: str | None = None
    child_error: tuple[str, str] | None = None
    result: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return "switch" if self.number is None else f"cycle_{self.number:03d}"

    @property
    def waiting(self) -> str | None:
        """Why the cycle stopped at a checkpoint, while it waits to be resumed."""
        return self.data.get("stopped")

    @property
    def verdict(self) -> Verdict | None:
        return self.data.get("verdict")

    @property
    def reasons(self) -> list[str]:
        return list(self.data.get("reasons", []))

    def give(self, verdict: Verdict, *reasons: str) -> None:
        """Set the verdict; the ledger learns it with the next step."""
        self.data["verdict"] = verdict
        self.data["reasons"] = [reason for reason in reasons if reason]


@dataclass(frozen=True)
class ChildOutcome:
    """How the child ended. ``error``: its own last words (message, remedy). ``stop_reason``: why it was asked to stop."""

    status: int
    error: tuple[str, str] | None
    stop_reason: str | None


@dataclass(frozen=True)
class Move:
    """Where to go from a step: ``step`` (None: the run is finished), after some seconds, or wait to be resumed."""

    step: str | None
    after: float = 0.0
    wait: bool = False
