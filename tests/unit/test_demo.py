"""What `make demo` waits for: a status that tells of an earlier spec is no answer to a later one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "hack" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Cluster:
    """The intents as an API server would list them."""

    def __init__(self, *intents: dict[str, Any]) -> None:
        self._intents = intents

    def intents(self) -> list[dict[str, Any]]:
        return list(self._intents)


def an_intent(generation: int, observed: int, ready: str = "True", state: str = "Open") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "observedGeneration": observed}]
    return {
        "metadata": {"name": "bracket-take", "generation": generation},
        "spec": {"quantity": "0.01"},
        "status": {"state": state, "observedGeneration": observed, "conditions": conditions},
    }


@pytest.mark.parametrize(("reason", "intent", "want"), [
    ("the exchange has the order as the spec says", an_intent(2, 2), True),
    ("its Ready is of the spec before the edit: the exchange still has the smaller order", an_intent(2, 1), False),
    ("it is being replaced", an_intent(2, 2, ready="False"), False),
    ("nobody has looked at it", {**an_intent(1, -1), "status": {"observedGeneration": -1, "state": "Pending"}}, False),
], ids=lambda value: value if isinstance(value, str) else None)
def test_an_exit_counts_as_grown_only_once_ready_is_about_its_new_size(demo: ModuleType, reason: str, intent: dict[str, Any], want: bool) -> None:
    assert demo._open(Cluster(intent), "bracket-take") is want
