"""A machine's configuration directories below a temporary one, highest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sleepd.config import Loaded, SearchPath, load

USER = 1000


@dataclass(frozen=True)
class Machine:
    root: Path

    @property
    def search(self) -> SearchPath:
        return SearchPath(tuple(self.root / name / "sleepd" for name in ("etc", "run", "usr")))

    def write(self, where: str, text: str) -> Path:
        """``where`` is relative, as in "etc/sleepd.toml.d/10-a.toml" without the sleepd directory."""
        top, _, rest = where.partition("/")
        file = self.root / top / "sleepd" / rest
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def load(self, instance: str | None = None) -> Loaded:
        return load(None, instance, {"HOME": str(self.root / "home")}, self.search, USER)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)
