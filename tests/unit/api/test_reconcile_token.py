"""What counts as a token in the annotation by which somebody asks for a reading: whatever else a stranger writes there is ignored."""

from __future__ import annotations

from typing import Any

import pytest

from exchange_kernel.api import RECONCILE_ANNOTATION, AccountStateStatus, OrderIntentStatus, reconcile_asked


@pytest.mark.parametrize(("reason", "written", "token"), [
    ("a random one", "0d9f6c1e2b", "0d9f6c1e2b"),
    ("by hand", "me-2026.11_24", "me-2026.11_24"),
    ("as long as it may be", "x" * 64, "x" * 64),
    ("longer than status could tell", "x" * 65, None),
    ("empty", "", None),
    ("a line break behind it", "abc\n", None),
    ("white space", "a b", None),
    ("not ASCII", "é", None),
    ("no end of its own", "abc-", None),
    ("not text", 7, None),
])
def test_a_token(reason, written, token):
    assert reconcile_asked({"annotations": {RECONCILE_ANNOTATION: written}}) == token, reason


@pytest.mark.parametrize("metadata", [{}, {"annotations": None}, {"annotations": {"other": "a"}}])
def test_nobody_asks(metadata: dict[str, Any]):
    assert reconcile_asked(metadata) is None


@pytest.mark.parametrize("kind", [OrderIntentStatus, AccountStateStatus])
def test_status_can_tell_each_token_that_counts(kind):
    assert kind(reconciled_token="x" * 64).reconciled_token == "x" * 64
