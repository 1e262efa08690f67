"""Takes a new configuration whole or not at all, and says so to systemd and to whoever asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from sleepd import journal
from sleepd.config import Loaded, diff
from sleepd.daemon import status
from sleepd.daemon.engine import Engine
from sleepd.daemon.merge import merged
from sleepd.errors import ConfigError
from sleepd.journal import Event, logger
from sleepd.notify import Notifier

log = logger(__name__)


class Reloading:
    """``read`` reads the configuration again. ``taken`` is called with the old and the new one once the engine has it."""

    def __init__(
        self,
        engine: Engine,
        read: Callable[[], Loaded],
        notify: Notifier,
        environment: Mapping[str, str],
        taken: Callable[[Loaded, Loaded], None],
    ) -> None:
        self._engine, self._read, self._notify, self._environment, self._taken = engine, read, notify, environment, taken
        self.generation = 1

    def reload(self) -> dict[str, Any]:
        """Apply the configuration as it is now, or change nothing and raise. A running child keeps its job."""
        self._notify.reloading()
        said = "configuration rejected, the old one stays"
        try:
            old = self._engine.loaded
            new = self._read()
            changes = diff(old.config, new.config)
            self._take(old, merged(old, new))
            self.generation += 1
            said = "configuration reloaded" + (f" ({', '.join(changes.needs_restart)} after a restart)" if changes.needs_restart else "")
            log.info(Event.CONFIG_RELOADED, applied=changes.applied, needs_restart=changes.needs_restart, generation=self.generation)
            return {"applied": list(changes.applied), "needs_restart": list(changes.needs_restart), "generation": self.generation}
        except ConfigError as error:
            log.error(Event.CONFIG_REJECTED, error=error.message, remedy=error.remedy)
            raise
        finally:
            self._notify.ready(f"{said}; {status.status_line(self._engine)}")

    def _take(self, old: Loaded, new: Loaded) -> None:
        self._engine.reconfigure(new)
        if new.config.log.level != old.config.log.level:
            journal.configure(old.config.log.format, new.config.log.level, self._environment, sys.stderr)
        self._taken(old, new)
