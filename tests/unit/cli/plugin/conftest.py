from __future__ import annotations

import pytest

from tests.unit.cli.plugin.recorded import Recorded, Shell


@pytest.fixture
def server() -> Recorded:
    return Recorded()


@pytest.fixture
def exchange(server: Recorded, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(server, monkeypatch)
