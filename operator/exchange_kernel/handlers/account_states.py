"""AccountStates: somebody may have asked for something in one's annotations. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from exchange_kernel.kube.client import ACCOUNT_STATES


def register(registry: kopf.OperatorRegistry, observe: Callable[[str | None, dict[str, Any]], None]) -> None:
    @kopf.on.event(ACCOUNT_STATES.group, ACCOUNT_STATES.version, ACCOUNT_STATES.plural, registry=registry)
    async def account_state_event(event: kopf.RawEvent, **_: Any) -> None:
        observe(event["type"], dict(event["object"]))
