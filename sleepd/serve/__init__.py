"""The reference inference service: OpenAI-compatible, follows ``adapters/active``, captures exchanges.

Importing this package is light: torch and transformers are loaded when ``run`` is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleepd.config import Loaded

__all__ = ["run"]


def run(loaded: Loaded, ready: Callable[[str], None] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. ``ready`` is called with the URL once it answers.

    Raises ConfigError or ModelError when the service cannot start.
    """
    from sleepd.serve import server, settings

    return server.serve(settings.from_loaded(loaded), ready)
