"""What ``rollback`` and ``activate`` have in common: how long a switch may take, and how its outcome is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

SWITCH_SECONDS = 610.0
"""A switch waits for the running step, reloads the service and verifies it; the daemon itself gives up after ten minutes."""


def tell(result: Mapping[str, Any]) -> None:
    """One line: what is active now, and how far that is proven."""
    verification = result.get("verification")
    detail = verification.get("detail") if isinstance(verification, Mapping) else verification
    click.echo(f"active: {result.get('active') or 'base (no adapter)'}" + (f"; {detail}" if detail else ""))
