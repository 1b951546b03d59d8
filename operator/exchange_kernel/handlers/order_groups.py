"""OrderGroups: each event becomes a key. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from exchange_kernel.kube.client import ORDER_GROUPS


def register(registry: kopf.OperatorRegistry, observe: Callable[[str | None, dict[str, Any]], str | None], wake: Callable[[str], None]) -> None:
    @kopf.on.event(ORDER_GROUPS.group, ORDER_GROUPS.version, ORDER_GROUPS.plural, registry=registry)
    async def order_group_event(event: kopf.RawEvent, **_: Any) -> None:
        if (uid := observe(event["type"], dict(event["object"]))) is not None:
            wake(uid)
