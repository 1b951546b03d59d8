"""What holds in every test."""

from __future__ import annotations

import pytest

from exchange_kernel.telemetry import metrics


def _restless() -> float:
    return metrics.RESTLESS_RECONCILES._value.get()


@pytest.fixture(autouse=True)
def every_order_comes_to_rest():
    """One reconcile call that takes too many steps is a bug, whatever else the test looks at."""
    before = _restless()
    yield
    assert _restless() == before, "an order did not come to rest: see the log"
