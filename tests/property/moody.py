"""A venue that keeps the promises we build on (A1, A2) and no others: answers get lost, lists are late or cut off, events come twice or never."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

from exchange_kernel.core.answers import (
    Accepted,
    Duplicate,
    ExchangeOrder,
    Listing,
    NotSent,
    OrderStatus,
    Refused,
    TimeRefused,
    Trade,
    Unknown,
    UnknownOrder,
    Unreachable,
)
from exchange_kernel.exchanges.port import ClockReading, Gap, OrderUpdate
from tests.scripted import ScriptedExchange

SUBMIT_MOODS = ("lost", "garbage", "silence", "late", "late after silence", "duplicate", "refused", "not sent", "time refused", "fills at once", "fills, trades later")
CANCEL_MOODS = ("lost", "garbage", "late", "late after silence", "unknown order", "refused", "asynchronous", "fills a part first", "fills first", "not sent", "time refused")
READ_MOODS = ("unreachable", "incomplete", "truncated")
EVENT_MOODS = ("lost", "twice", "late")

QUESTION_S = 1.0      # after which a question without an answer counts as Unknown


class MoodyExchange(ScriptedExchange):
    """One-shot moods, each for the next request of its kind; `calm()` ends them all."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses_old = True
        self.submit_moods: deque[str] = deque()
        self.cancel_moods: deque[str] = deque()
        self.read_moods: deque[str] = deque()
        self.event_moods: deque[str] = deque()
        self.depth = Decimal(0)                # what the book offers at once
        self.duplicates = 0
        self.connects = False                  # whether the venue can be connected to even while it answers no question about orders
        self._history: dict[str, list[tuple[int, ExchangeOrder]]] = {}

    def calm(self) -> None:
        for moods in (self.submit_moods, self.cancel_moods, self.read_moods, self.event_moods):
            moods.clear()
        self.reachable, self.visibility_ms, self.trades_lag_ms = True, 0, 0

    # ── What happens at the venue ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def live(self) -> list[ExchangeOrder]:
        return [order for order in self.orders_by_id.values() if not order.status.ended]

    def end(self, client_order_id: str, status: OrderStatus, *, tell: bool = True) -> None:
        for order in self.named(client_order_id):
            if not order.status.ended:
                self._set(replace(order, status=status, update_time_ms=self.now_ms()), tell=tell)
                self._end_the_others(client_order_id, OrderStatus.CANCELED, tell)

    def _set(self, order: ExchangeOrder, trade: Trade | None = None, tell: bool = True) -> ExchangeOrder:
        self.orders_by_id[order.exchange_order_id] = order
        self._history.setdefault(order.exchange_order_id, []).append((self.now_ms(), order))
        if tell:
            self._tell(OrderUpdate(order, trade))
        return order

    def _tell(self, fact: object) -> None:
        mood = self.event_moods.popleft() if self.event_moods else None
        for stream in self._streams:
            if mood == "late":
                asyncio.get_running_loop().call_later(5.0, stream.put_nowait, fact, context=contextvars.Context())
            elif mood != "lost":
                stream.put_nowait(fact)
                if mood == "twice":
                    stream.put_nowait(fact)

    def disconnect(self) -> None:
        for stream in self._streams:
            stream.put_nowait(Gap.DISCONNECTED)
            stream.put_nowait(Gap.SUBSCRIBED)

    def _shown(self) -> list[ExchangeOrder]:
        """All orders as they were `visibility_ms` ago: a reading may be that old."""
        until_ms = self.now_ms() - self.visibility_ms
        versions = ([order for at_ms, order in history if at_ms <= until_ms] for history in self._history.values())
        return [seen[-1] for seen in versions if seen]

    # ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, request, clearance):
        mood = self.submit_moods.popleft() if self.submit_moods else None
        if mood == "not sent":
            return NotSent("no connection")
        self.calls.append("submit")
        stamp = await self.cleared(clearance)
        if not isinstance(stamp, int):
            return NotSent(stamp.reason)
        self.written(request.client_order_id)
        return await self._ask(mood, lambda: self._take_order(request, stamp, mood))

    async def cancel(self, ref, clearance):
        mood = self.cancel_moods.popleft() if self.cancel_moods else None
        if mood == "not sent":
            return NotSent("no connection")
        self.calls.append("cancel")
        stamp = await self.cleared(clearance)
        if not isinstance(stamp, int):
            return NotSent(stamp.reason)
        return await self._ask(mood, lambda: self._take_cancel(ref, stamp, mood))

    async def _ask(self, mood: str | None, arrive: Callable[[], Awaitable[object]]):
        """The way to the venue and back. What is on its way arrives whatever becomes of its sender."""
        async def fly():
            if mood in ("late", "late after silence"):
                await asyncio.sleep(2.5)
            return await arrive() if self.reachable and mood != "lost" else Unknown("silent")

        arrival = asyncio.get_running_loop().create_task(fly(), context=contextvars.Context())
        if mood in ("lost", "silence", "late after silence"):
            await asyncio.sleep(QUESTION_S)
            return Unknown("no answer")
        answer = await asyncio.shield(arrival)
        return Unknown("garbage") if mood == "garbage" else answer

    async def _take_order(self, request, stamp: int, mood: str | None = None):
        if self._too_old(stamp) or mood == "time refused":
            return TimeRefused("outside of the window")
        if self.named(request.client_order_id):
            self.duplicates += 1
        if mood == "refused":
            return Refused("-2010", "Account has insufficient balance for requested action")
        number = str(1000 + len(self.orders_by_id))
        self.trades_of[number] = []
        self._set(ExchangeOrder(
            client_order_id=request.client_order_id, exchange_order_id=number, symbol=request.symbol, side=request.side, type=request.type, status=OrderStatus.OPEN,
            quantity=request.quantity, filled_quantity=Decimal(0), filled_quote_quantity=Decimal(0), price=request.price, update_time_ms=self.now_ms(), created_time_ms=self.now_ms(),
        ), tell=False)
        self.accepted()
        immediate = request.type == "Market" or request.time_in_force in ("IOC", "FOK")
        offered = request.quantity if mood in ("fills at once", "fills, trades later") else self.depth if immediate else Decimal(0)
        if request.time_in_force == "FOK" and offered < request.quantity:
            offered = Decimal(0)
        if offered > 0:
            self.fill(request.client_order_id, str(min(offered, request.quantity)))
        if immediate:
            self.end(request.client_order_id, OrderStatus.EXPIRED)
        order = self.orders_by_id[number]
        if mood == "duplicate":
            return Duplicate("-2010")
        return Accepted(order, () if mood == "fills, trades later" else tuple(self.trades_of[number]))

    async def _take_cancel(self, ref, stamp: int, mood: str | None = None):
        if self._too_old(stamp) or mood == "time refused":
            return TimeRefused("outside of the window")
        order = next((order for order in self.named(ref.client_order_id) if not order.status.ended), None)
        if order is None or mood == "unknown order":
            return UnknownOrder("-2011")
        if mood == "refused":
            return Refused("-2022", "The order can't be cancelled now")
        left = order.quantity - order.filled_quantity
        if mood == "fills first":
            self.fill(order.client_order_id, str(left))
            return UnknownOrder("-2011")
        if mood == "asynchronous":
            loop = asyncio.get_running_loop()
            loop.call_later(3.0, self.end, order.client_order_id, OrderStatus.CANCELED, context=contextvars.Context())
            return Accepted(order)
        if mood == "fills a part first":
            self.fill(order.client_order_id, str(left / 2))
        self.end(order.client_order_id, OrderStatus.CANCELED)
        # The answer was made before the last fill was counted.
        return Accepted(replace(order, status=OrderStatus.CANCELED, update_time_ms=self.now_ms()))

    async def clock(self):
        now = self.clock_source.monotonic()
        return ClockReading(self.now_ms(), now, now) if self.connects else await super().clock()

    async def fingerprint(self):
        return "42" if self.connects else await super().fingerprint()

    # ── Readings ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _listed(self, items: tuple) -> Listing | Unreachable:
        mood = self.read_moods.popleft() if self.read_moods else None
        if mood == "unreachable" or not self.reachable:
            return Unreachable("silent")
        if mood == "incomplete":
            return Listing(items[::2], False)
        return Listing((), False) if mood == "truncated" else Listing(items, True)

    async def lookup(self, ref):
        if self.read_moods and self.read_moods[0] == "unreachable":
            self.read_moods.popleft()
            return Unreachable("silent")
        return await super().lookup(ref)

    async def open_orders(self, symbol=None):
        self.calls.append("open_orders")
        return self._listed(tuple(order for order in self._shown() if not order.status.ended))

    async def orders(self, symbol, since_ms):
        return self._listed(tuple(self._shown()))

    async def trades(self, symbol, *, since_ms=None, exchange_order_id=None):
        until_ms = self.now_ms() - max(self.trades_lag_ms, self.visibility_ms)
        return self._listed(tuple(trade for number, trades in self.trades_of.items() for trade in trades if exchange_order_id in (None, number) and trade.time_ms <= until_ms))
