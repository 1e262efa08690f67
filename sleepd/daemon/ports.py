"""What the daemon takes from outside and tests replace. Values only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sleepd.daemon.cycle import Hook, no_hook
from sleepd.daemon.supervisor import TrainerArgv, default_trainer


@dataclass(frozen=True)
class Ports:
    """What tests replace: clocks, the trainer's command line, the seam of the step table, the sensors' roots."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    wait: Callable[[float], object] = time.sleep
    trainer_argv: TrainerArgv = default_trainer
    hook: Hook = no_hook
    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    environment: Mapping[str, str] = field(default_factory=dict)
