"""The reference inference service: OpenAI-compatible, follows ``adapters/active``, captures exchanges.

Importing this package is light: torch and transformers are loaded when ``run`` is called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleepd.config import Loaded

__all__ = ["run"]


def run(loaded: Loaded, ready: Callable[[str], None] | None = None, env: Mapping[str, str] = os.environ) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. ``ready`` is called with the URL once it answers.

    ``env`` tells how to reach systemd. Raises ConfigError or ModelError when the service cannot start.
    """
    from sleepd.serve import server, settings

    return server.serve(settings.from_loaded(loaded), env, ready)
