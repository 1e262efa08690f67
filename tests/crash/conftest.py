from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.harness import ROOT, Start, Workspace, starter, workspaces
from tests.process.zygote import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote(ROOT)
    yield zygote
    zygote.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    yield from workspaces(tmp_path)


@pytest.fixture
def start(zygote: Zygote, workspace: Workspace) -> Iterator[Start]:
    yield from starter(zygote, workspace)
