from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.harness import Start, Workspace, starter, workspaces


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    yield from workspaces(tmp_path)


@pytest.fixture
def start(workspace: Workspace) -> Iterator[Start]:
    yield from starter(workspace)
