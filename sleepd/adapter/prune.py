"""Which old directories may go. Pure: names in, names out; the store removes them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

# A server may still hold the generation before last for a request in flight, and dies when it is removed.
ALWAYS_KEPT = 3


def expendable(names: Sequence[str], keep: int, safe: Collection[str]) -> list[str]:
    """Of ``names``, oldest first, those that are neither among the newest nor ``safe``."""
    kept = max(keep, ALWAYS_KEPT)
    return [name for name in names[: max(0, len(names) - kept)] if name not in safe]


def by_number(name: str) -> tuple[int, str]:
    """A sort key: the first number in the name, then the name, so cycle_999 comes before cycle_1000."""
    digits = re.search(r"\d+", name)
    return (int(digits[0]) if digits else -1, name)
