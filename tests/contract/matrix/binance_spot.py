"""The matrix of Binance spot: our adapter and the real ccxt against the simulated exchange on loopback, whose ledger is the judge of each cell."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unittest import mock

import aiohttp

from exchange_kernel.api import AmendQuantity, ReplaceKind
from exchange_kernel.core.venue import GroupLeg, GroupRequest, OrderRequest
from exchange_kernel.exchanges.ccxt import dialect_of, open_exchange, wire
from exchange_kernel.exchanges.port import Closed, Credentials, Exchange, Gap, OrderRef, OrderUpdate
from exchange_kernel.exchanges.simulated import Served, Settings, SimulatedExchange, serve
from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.orders import Order
from tests.contract.matrix.cells import PATIENCE_S, Cell, outcome

NAME = "binance spot, simulated exchange"
SYMBOL = "BTC/USDT"
NO_FAULT = "no fault"
QUIET_S = 1.5       # a stream from which nothing came for so long has told all

#: Of every request: what happens to it on its way there or back. `{on}` is the operation's class of requests.
ON_THE_WAY = (
    "accept-then-drop,on={on}", "accept-then-late-reply,on={on},ms=60000", "accept-then-502,on={on}", "accept-then-504,on={on}", "accept-then-1007,on={on}",
    "accept-then-garbage,on={on}", "accept-then-truncated,on={on}", "accept-then-empty,on={on}", "refuse-then-drop,on={on}", "refuse-then-502,on={on}",
    "lost-request,on={on}", "hang,on={on}", "backlog,on={on},ms=50", "slow-arrival,on={on},ms=50", "internal-error,on={on}",
    "rate-limited,on={on}", "banned,on={on}", "maintenance,on={on}", "overloaded,on={on}", "silence", "refused-connections",
)
UNANSWERED = ("accept-then-late-reply", "hang", "silence")
READS = ("not-found-yet,ms=60000", "lists-truncated,keep=0", "lists-stale,staleMs=60000", "lagging-replicas,lagMs=60000", "purged-history,purgedMs=0")
STREAMS = (
    "stream-silent", "stream-dropping,loss=1", "stream-duplicating,duplication=1", "stream-reordering,reordering=1", "stream-stale,staleness=1",
    "stream-late,lateMs=100", "stream-without-trades", "stream-twice-told-trades", "stream-disconnected", "stream-terminated", "stream-closed",
)


class Gate:
    """Open, with the venue's time, which is ours here."""

    def stamp(self) -> int | Closed:
        return int(time.time() * 1000)

    def check(self, stamp: int) -> Closed | None:
        return None


@dataclass
class Desk:
    """An account of one cell's own, our adapter on it, and the truth about its orders."""

    exchange: Exchange
    account: Account
    served: Served
    http: aiohttp.ClientSession

    async def control(self, path: str, command: Mapping[str, Any]) -> Any:
        async with self.http.post(f"{self.served.control}/{path}", json=command) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def suffer(self, fault: str) -> None:
        if fault != NO_FAULT:
            await self.control("faults", {"fault": fault})

    async def ready(self) -> None:
        """Markets, clock and a kept connection: what the operation itself needs is then the only request."""
        await self.exchange.markets()
        await self.exchange.clock()

    def request(self, **changes: Any) -> OrderRequest:
        values: dict[str, Any] = {
            "client_order_id": uuid.uuid4().hex, "symbol": SYMBOL, "side": "Buy", "type": "Limit", "quantity": Decimal("0.5"), "price": Decimal(50000),
            "time_in_force": "GTC",
        }
        return OrderRequest(**{**values, **changes})

    async def resting(self) -> OrderRef:
        """An order that rests."""
        request = self.request()
        answer = await self.exchange.submit(request, Gate())
        assert outcome(answer) == "Accepted Open", answer
        return OrderRef(SYMBOL, request.client_order_id, answer.order.exchange_order_id)   # type: ignore[union-attr]

    async def fill(self, ref: OrderRef, quantity: str) -> None:
        await self.control("market", {"fill": {"clientOrderId": ref.client_order_id, "quantity": quantity}})

    def by_id(self, ref: OrderRef) -> Order:
        [order] = [order for orders in self.account.orders.values() for order in orders if str(order.order_id) == ref.exchange_order_id]
        return order

    def ledger(self, client_order_id: str) -> list[Order]:
        return [order for orders in self.account.orders.values() for order in orders if order.client_order_id == client_order_id]


Act = Callable[[Desk, str], Awaitable[tuple[str, bool | None]]]


async def submit(desk: Desk, fault: str) -> tuple[str, bool | None]:
    request = desk.request()
    await desk.suffer(fault)
    answer = await desk.exchange.submit(request, Gate())
    return outcome(answer), bool(desk.ledger(request.client_order_id))


async def submit_again(desk: Desk, fault: str) -> tuple[str, bool | None]:
    """A second order under a living id: whether there is one more order."""
    ref = await desk.resting()
    await desk.suffer(fault)
    answer = await desk.exchange.submit(desk.request(client_order_id=ref.client_order_id, quantity=Decimal("0.25")), Gate())
    return outcome(answer), len(desk.ledger(ref.client_order_id)) == 2


async def submit_refused(desk: Desk, fault: str) -> tuple[str, bool | None]:
    """An order that the engine refuses, whatever becomes of its answer."""
    rich = await desk.exchange.submit(desk.request(quantity=Decimal(170)), Gate())       # eight and a half of the account's ten millions
    assert outcome(rich) == "Accepted Open", rich
    request = desk.request(quantity=Decimal(40))
    await desk.suffer(fault)
    answer = await desk.exchange.submit(request, Gate())
    return outcome(answer), bool(desk.ledger(request.client_order_id))


async def cancel(desk: Desk, fault: str) -> tuple[str, bool | None]:
    ref = await desk.resting()
    await desk.suffer(fault)
    answer = await desk.exchange.cancel(ref, Gate())
    return outcome(answer), desk.by_id(ref).status == "CANCELED"


async def cancel_nothing(desk: Desk, fault: str) -> tuple[str, bool | None]:
    await desk.suffer(fault)
    return outcome(await desk.exchange.cancel(OrderRef(SYMBOL, uuid.uuid4().hex), Gate())), False


async def amend(desk: Desk, fault: str) -> tuple[str, bool | None]:
    ref = await desk.resting()
    await desk.suffer(fault)
    answer = await desk.exchange.amend(ref, desk.request(client_order_id=ref.client_order_id, quantity=Decimal("0.25")), Gate())
    return outcome(answer), desk.by_id(ref).quantity == Decimal("0.25")


async def replace(desk: Desk, fault: str) -> tuple[str, bool | None]:
    """Done: the new order is there."""
    ref, request = await desk.resting(), desk.request(quantity=Decimal("0.25"))
    await desk.suffer(fault)
    answer = await desk.exchange.replace(ref, request, Gate())
    return outcome(answer), bool(desk.ledger(request.client_order_id))


def a_list(desk: Desk) -> GroupRequest:
    first, second = desk.request(price=Decimal(49500)), desk.request(side="Sell", price=Decimal(51000))
    return GroupRequest(uuid.uuid4().hex, "OneTriggersOther", (GroupLeg("First", first), GroupLeg("Second", second)))


async def submit_list(desk: Desk, fault: str) -> tuple[str, bool | None]:
    """Done: any order of it is there."""
    request = a_list(desk)
    await desk.suffer(fault)
    answer = await desk.exchange.submit_group(request, Gate())
    return outcome(answer), any(desk.ledger(leg.request.client_order_id) for leg in request.legs)


async def lookup_list(desk: Desk, fault: str) -> tuple[str, bool | None]:
    request = a_list(desk)
    assert outcome(await desk.exchange.submit_group(request, Gate())) == "GroupAccepted 2"
    await desk.suffer(fault)
    return outcome(await desk.exchange.lookup_group(SYMBOL, request.list_id)), None


async def balances(desk: Desk, fault: str) -> tuple[str, bool | None]:
    await desk.suffer(fault)
    return outcome(await desk.exchange.balances()), None


async def lookup_by_ours(desk: Desk, fault: str) -> tuple[str, bool | None]:
    ref = await desk.resting()
    await desk.suffer(fault)
    return outcome(await desk.exchange.lookup(OrderRef(SYMBOL, ref.client_order_id))), None


async def lookup_by_theirs(desk: Desk, fault: str) -> tuple[str, bool | None]:
    ref = await desk.resting()
    await desk.suffer(fault)
    return outcome(await desk.exchange.lookup(ref)), None


async def lookup_ended(desk: Desk, fault: str) -> tuple[str, bool | None]:
    ref = await desk.resting()
    await desk.fill(ref, "0.5")
    await desk.suffer(fault)
    await asyncio.sleep(0.005)
    return outcome(await desk.exchange.lookup(ref)), None


async def open_orders(desk: Desk, fault: str) -> tuple[str, bool | None]:
    await desk.resting()
    await desk.suffer(fault)
    return outcome(await desk.exchange.open_orders()), None


async def orders_since(desk: Desk, fault: str) -> tuple[str, bool | None]:
    await desk.resting()
    ref = await desk.resting()
    await desk.fill(ref, "0.5")
    await desk.suffer(fault)
    await asyncio.sleep(0.005)
    return outcome(await desk.exchange.orders(SYMBOL, int(time.time() * 1000) - 60_000)), None


async def trades(desk: Desk, fault: str) -> tuple[str, bool | None]:
    """The fault begins before the trades do."""
    ref = await desk.resting()
    await desk.suffer(fault) if "trades" in fault or "not-found" in fault else None
    await desk.fill(ref, "0.2")
    await desk.fill(ref, "0.1")
    await desk.suffer(fault) if "trades" not in fault and "not-found" not in fault else None
    await asyncio.sleep(0.005)
    return outcome(await desk.exchange.trades(SYMBOL, exchange_order_id=ref.exchange_order_id)), None


async def stream(desk: Desk, fault: str) -> tuple[str, bool | None]:
    """An order that is placed, filled in two parts and so ends, as the stream tells it."""
    facts = desk.exchange.stream()
    assert await anext(facts) is Gap.SUBSCRIBED
    await desk.suffer(fault)
    told = []
    if fault in ("stream-disconnected", "stream-terminated", "stream-closed"):
        told = [await anext(facts), await anext(facts)]
    ref = await desk.resting()
    await desk.fill(ref, "0.2")
    await desk.fill(ref, "0.3")
    waiting: asyncio.Task[Any] | None = None
    while True:
        waiting = asyncio.ensure_future(anext(facts))
        done, _ = await asyncio.wait({waiting}, timeout=QUIET_S)
        if not done:
            break
        told.append(waiting.result())
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    await facts.aclose()
    return ", ".join(
        f"{fact.order.status}{f' {fact.order.filled_quantity.normalize():f}' if fact.order.filled_quantity else ''}" if isinstance(fact, OrderUpdate)
        else f"Gap {fact}" for fact in told) or "nothing", None


#: operation → how, its class of requests, and the faults beside those that happen to all requests
OPERATIONS: Mapping[str, tuple[Act, str | None, tuple[str, ...]]] = {
    "submit": (submit, "submit", ("clock-skew,ms=3600000", "clock-skew,ms=-3600000", "not-found-yet,ms=60000", "second-account")),
    "submit, to be refused": (submit_refused, "submit", ()),
    "submit, id in use": (submit_again, "submit", ("ids-reused",)),
    "cancel": (cancel, "cancel", ("fill-during-cancel", "fill-during-cancel,fraction=0.5", "cancel-lost", "cancel-unheard", "clock-skew,ms=3600000")),
    "cancel of nothing": (cancel_nothing, None, (NO_FAULT,)),
    "amend": (amend, "amend", ("fill-during-cancel,on=amend", "fill-during-cancel,on=amend,fraction=0.3", "clock-skew,ms=3600000")),
    "replace": (replace, "replace", ("fill-during-cancel,on=replace", "fill-during-cancel,on=replace,fraction=0.5")),
    "submit a list": (submit_list, "submit-list", ("clock-skew,ms=3600000", "not-found-yet,ms=60000")),
    "lookup of a list": (lookup_list, "lookup-list", READS),
    "lookup by our id": (lookup_by_ours, "lookup", (*READS, "clock-skew,ms=3600000")),
    "lookup by their id": (lookup_by_theirs, "lookup", READS),
    "lookup of an ended": (lookup_ended, "lookup", READS),
    "open orders": (open_orders, "open-orders", READS),
    "orders since": (orders_since, "orders", READS),
    "trades": (trades, "trades", (*READS, "trades-missing", "trades-late,tradesLateMs=60000", "trades-duplicated")),
    "balances": (balances, "account", ()),
    "stream": (stream, None, (NO_FAULT, *STREAMS)),
}


CAPABILITIES = dialect_of("binance", "spot").capabilities

#: By the adapter's own capabilities, as of this release.
NOT_OFFERED = {
    operation for operation, offered in (
        ("amend", CAPABILITIES.amend is not AmendQuantity.NONE), ("replace", CAPABILITIES.replace is ReplaceKind.FILL_AWARE),
    ) if not offered
}


@asynccontextmanager
async def a_desk(served: Served, http: aiohttp.ClientSession) -> AsyncIterator[Desk]:
    key = uuid.uuid4().hex
    account = served.exchange.open_account(key, "s3cret")
    exchange = open_exchange(
        "binance", market_type="spot", environment="Simulated", credentials=Credentials({"apiKey": key, "secret": "s3cret"}), rest=served.rest,
        websocket=served.websocket, ca_pem=None, requests_per_second=None, cancel_reserve_percent=10)
    desk = Desk(exchange, account, served, http)
    try:
        await desk.ready()
        yield desk
    finally:
        async with http.delete(f"{served.control}/faults"):
            pass
        await exchange.close()
        if account.open:
            served.exchange.engine.cancel_all(account, served.exchange.engine.market("BTCUSDT").symbol)


async def cells() -> list[Cell]:
    found = []
    async with serve(SimulatedExchange(Settings(market_maker=False, weight_limit=10_000_000))) as served, aiohttp.ClientSession() as http:
        for operation, (act, on, special) in OPERATIONS.items():
            if operation in NOT_OFFERED:
                continue
            for fault in (*((NO_FAULT, *(one.format(on=on) for one in ON_THE_WAY)) if on is not None else ()), *special):
                with mock.patch.object(wire, "TIMEOUT_S", PATIENCE_S if fault.partition(",")[0] in UNANSWERED else wire.TIMEOUT_S):
                    async with a_desk(served, http) as desk:
                        told, effect = await act(desk, fault)
                found.append(Cell(NAME, operation, fault.replace(f",on={on}", ""), told, effect))
    return found
