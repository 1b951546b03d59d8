"""RiskLimits: each event has the orders of its namespace looked at again. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from exchange_kernel.kube.client import RISK_LIMITS


def register(registry: kopf.OperatorRegistry, observe: Callable[[str | None, dict[str, Any]], str | None], changed: Callable[[str], None]) -> None:
    @kopf.on.event(RISK_LIMITS.group, RISK_LIMITS.version, RISK_LIMITS.plural, registry=registry)
    async def risk_limit_event(event: kopf.RawEvent, **_: Any) -> None:
        if (namespace := observe(event["type"], dict(event["object"]))) is not None:
            changed(namespace)
