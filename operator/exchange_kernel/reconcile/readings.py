"""Readings of an account's orders, beside the reconcile calls that ask for them: none holds up a cancel (rule 9).

A reading that ends wakes the order; what it found is in memory by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

GIVEN_UP_S = 60.0  # an adapter answers sooner; what hangs all the same is asked again


class Readings:
    """One account's. At most one reading of one order is under way."""

    def __init__(self) -> None:
        self.under_way: dict[str, asyncio.Task[None]] = {}  # by client order id

    def begin(self, client_order_id: str, read: Callable[[], Coroutine[Any, Any, object]], ended: Callable[[], None]) -> None:
        """Start `read`, and call `ended` once it is over, unless one of this order is under way."""
        if client_order_id in self.under_way:
            return

        def over(task: asyncio.Task[None]) -> None:
            self.under_way.pop(client_order_id, None)
            ended()

        self.under_way[client_order_id] = asyncio.get_running_loop().create_task(self._read(client_order_id, read))
        self.under_way[client_order_id].add_done_callback(over)  # also where it is ended before its first step

    async def _read(self, client_order_id: str, read: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            await asyncio.wait_for(read(), GIVEN_UP_S)
        except TimeoutError:
            log.warning("a reading was given up", client_order_id=client_order_id)
        except Exception:  # a bug of ours in one order must not stop the others (rule 14)
            log.exception("a reading failed", client_order_id=client_order_id)

    async def idle(self) -> None:
        """Return when those are over that are under way now. What they found has woken its orders by then."""
        if under_way := list(self.under_way.values()):
            await asyncio.wait(under_way)

    def close(self) -> None:
        """End what is under way; whoever waits for it decides afresh."""
        for task in list(self.under_way.values()):
            task.cancel()
