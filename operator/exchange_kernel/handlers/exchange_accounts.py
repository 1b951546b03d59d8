"""ExchangeAccounts: each event becomes a key, and a timer on each asks its session to sweep when that is due: the net under every lost event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from exchange_kernel.kube.client import EXCHANGE_ACCOUNTS


def register(
    registry: kopf.OperatorRegistry,
    observe: Callable[[str | None, dict[str, Any]], str | None],
    wake: Callable[[str], None],
    sweep: Callable[[str], Awaitable[None]],
) -> None:
    kind = (EXCHANGE_ACCOUNTS.group, EXCHANGE_ACCOUNTS.version, EXCHANGE_ACCOUNTS.plural)

    @kopf.on.event(*kind, registry=registry)
    async def exchange_account_event(event: kopf.RawEvent, **_: Any) -> None:
        if (uid := observe(event["type"], dict(event["object"]))) is not None:
            wake(uid)

    @kopf.timer(*kind, interval=1.0, initial_delay=1.0, registry=registry)
    async def exchange_account_timer(uid: str, **_: Any) -> None:
        # Whether a sweep is due, with its jitter, is the session's to know; this only ticks.
        await sweep(uid)
