"""The default: no reloader. The operator restarts the service; sleepd only moves the link and says so."""

from __future__ import annotations

from pathlib import Path

from sleepd.records import Served


class NoReloader:
    """Tells nobody anything, and claims nothing."""

    kind = "none"

    def reload(self, directory: Path | None, adapter_id: str | None) -> None:
        """Nothing to tell: the ``active`` link has moved, and the service reads it when it is next started."""

    def served(self) -> Served:
        return Served(healthy=True, detail="no reloader configured; restart your inference service yourself")

    def ask(self, prompt: str, max_tokens: int) -> str | None:
        return None
