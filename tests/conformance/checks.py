"""The contract of ExchangeKernel as checks, by method: what each returns, and each error. They know no implementation."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from exchange_kernel.kernel import (
    AccountState,
    BaseEvent,
    EventFilter,
    ExchangeError,
    ExchangeKernel,
    KernelError,
    NotFoundError,
    OrderIntent,
    OrderState,
    State,
    ValidationError,
    event_from_json,
)
from exchange_kernel.kernel.reconciliation import DISCREPANCIES, METRICS
from exchange_kernel.schema import GroupMember, GroupMode, MemberRole, OrderType, Side, StandardOrder, StandardOrderGroup, SymbolMetadata
from tests.conformance.bench import WITHIN_S, Bench
from tests.support import aeventually

REST = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="0.01", price="20000")  # far below the market
ETHER = StandardOrder(symbol_id="ETH/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="0.5", price="500")
MARKET = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.MARKET, quantity="0.02")
TOO_MUCH = REST.model_copy(update={"quantity": Decimal(300)})
TOO_LITTLE = REST.model_copy(update={"quantity": Decimal("0.0000001")})
TOO_CHEAP = REST.model_copy(update={"quantity": Decimal("0.0001"), "price": Decimal(1)})
WITHOUT_PRICE = REST.model_copy(update={"price": None})

METHODS = tuple(name for name, member in vars(ExchangeKernel).items() if getattr(member, "__isabstractmethod__", False))


@dataclass(frozen=True)
class Check:
    method: str
    says: str
    run: Callable[[Bench], Awaitable[None]]


CHECKS: list[Check] = []


def check(method: str, says: str):
    assert method in METHODS

    def add(run: Callable[[Bench], Awaitable[None]]):
        CHECKS.append(Check(method, says, run))
        return run

    return add


def a_basket(*orders: StandardOrder, **changes: Any) -> StandardOrderGroup:
    return StandardOrderGroup(mode=GroupMode.BASKET, members=[GroupMember(name=f"leg{number}", order=order) for number, order in enumerate(orders)], **changes)


def one_triggers_other() -> StandardOrderGroup:
    return StandardOrderGroup(
        mode=GroupMode.ONE_TRIGGERS_OTHER,
        members=[GroupMember(name="entry", role=MemberRole.ENTRY, order=REST), GroupMember(name="then", order=REST.model_copy(update={"side": Side.SELL, "price": Decimal(100000)}))],
    )


async def unknown_intent(call: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
    for name in ("no-such-intent", "Not A Name"):
        with pytest.raises(NotFoundError) as error:
            await call(name, *arguments)
        assert isinstance(error.value, KernelError)
        assert error.value.intent_id == name


# ── place_order ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@check("place_order", "returns once the exchange has it")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    state = await kernel.get_order_state(await kernel.place_order(REST))
    assert state.state is State.OPEN
    assert bench.order(state)["status"] == "NEW"


@check("place_order", "an order that fills at once is no error")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    state = await bench.until(kernel, await kernel.place_order(MARKET), "Filled")
    assert state.filled_quantity == Decimal("0.02")


@check("place_order", "ExchangeError if the exchange refuses, with the intent id and its reason")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    with pytest.raises(ExchangeError) as error:
        await kernel.place_order(TOO_MUCH)
    assert "insufficient balance" in str(error.value.reason)
    assert (await kernel.get_order_state(str(error.value.intent_id))).state is State.REJECTED


@check("place_order", "ValidationError for a rule between fields, and nothing is there")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    with pytest.raises(ValidationError) as error:
        await kernel.place_order(WITHOUT_PRICE)
    assert any("price is required" in problem for problem in error.value.problems)
    assert await kernel.get_all_orders() == []


@check("place_order", "ValidationError for a rule of the market, and nothing is there")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    for wrong, says in ((TOO_LITTLE, "smallest order"), (TOO_CHEAP, "smallest notional")):
        with pytest.raises(ValidationError, match=says):
            await kernel.place_order(wrong)
    assert await kernel.get_all_orders() == []


@check("place_order", "ValidationError for notes past their bound, which names the key")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    with pytest.raises(ValidationError, match="'essay'"):
        await kernel.place_order(REST, {"essay": "x" * 2000})
    assert await kernel.get_all_orders() == []


@check("place_order", "with the same idempotency key it is the same order")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    keyed = REST.model_copy(update={"idempotency_key": f"key-{bench._name}", "submit_deadline_time": datetime.now(UTC) + timedelta(hours=1)})
    first = await kernel.place_order(keyed)
    assert await kernel.place_order(keyed) == first
    assert len(bench.exchange.orders((await kernel.get_order_state(first)).client_order_id)) == 1
    with pytest.raises(ValidationError, match="names another order already"):
        await kernel.place_order(keyed.model_copy(update={"side": Side.SELL}))


@check("place_order", "with an acknowledge timeout of 0 it does not wait")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel(acknowledge_timeout=0)
    name = await kernel.place_order(REST)
    await bench.until(kernel, name, "Open")


@check("place_order", "ExchangeError while the kernel is not started")
async def _(bench: Bench) -> None:
    with pytest.raises(ExchangeError, match=r"call start\(\)"):
        await bench.not_started().place_order(REST)


# ── place_order_group ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@check("place_order_group", "returns the members' intent ids in their order, and the exchange has them")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    names = await kernel.place_order_group(a_basket(REST, ETHER), {"why": ["test"]})
    assert [name.rpartition("-")[2] for name in names] == ["leg0", "leg1"]
    assert len({name.rpartition("-")[0] for name in names}) == 1
    for name in names:
        await bench.until(kernel, name, "Open")
        assert (await kernel.get_order_intent(name)).metadata == {"why": ["test"]}


@check("place_order_group", "a member answers from the first moment on, and is Pending until it is made")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel(acknowledge_timeout=0)
    entry, then = await kernel.place_order_group(one_triggers_other())
    assert (await kernel.get_order_state(then)).state is State.PENDING
    assert (await kernel.get_order_intent(then)).order.side is Side.SELL
    state = await bench.until(kernel, entry, "Open")
    assert (await kernel.get_order_state(then)).state is State.PENDING
    bench.exchange.fill(str(state.client_order_id), "0.01")
    await bench.until(kernel, entry, "Filled")
    await bench.until(kernel, then, "Open")


@check("place_order_group", "one leg that breaks a rule between fields, and none is placed")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    with pytest.raises(ValidationError, match="price is required"):
        await kernel.place_order_group(a_basket(ETHER, WITHOUT_PRICE))
    assert await kernel.get_all_orders() == []


@check("place_order_group", "a group that is none by its members' roles is a ValidationError")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    with pytest.raises(ValidationError, match="two members or more"):
        await kernel.place_order_group(StandardOrderGroup(mode=GroupMode.ONE_CANCELS_OTHER, members=[GroupMember(name="one", order=REST)]))


@check("place_order_group", "one leg that its market does not take, and none is placed")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    with pytest.raises(ValidationError, match=r"leg1: .*smallest order"):
        await kernel.place_order_group(a_basket(ETHER, TOO_LITTLE))
    assert await kernel.get_all_orders() == []


@check("place_order_group", "ExchangeError if the exchange refuses a member, with its intent id")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    with pytest.raises(ExchangeError) as error:
        await kernel.place_order_group(a_basket(TOO_MUCH))
    assert str(error.value.intent_id).endswith("-leg0")


# ── cancel_order ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@check("cancel_order", "returns once the order has ended, and may be repeated")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(REST)
    await kernel.cancel_order(name)
    state = await kernel.get_order_state(name)
    assert state.state is State.CANCELED
    assert bench.order(state)["status"] == "CANCELED"
    await kernel.cancel_order(name)


@check("cancel_order", "does nothing to an order that has finished")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(MARKET)

    async def finished() -> bool:
        return (await kernel.get_order_state(name)).finished

    await aeventually(finished, within=WITHIN_S, what="it has finished")
    await kernel.cancel_order(name)
    assert (await kernel.get_order_state(name)).state is State.FILLED


@check("cancel_order", "NotFoundError")
async def _(bench: Bench) -> None:
    await unknown_intent((await bench.kernel()).cancel_order)


@check("cancel_order", "of a member, also of one that is not made yet, leaves the others")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    one, other = await kernel.place_order_group(a_basket(REST, ETHER))
    await kernel.cancel_order(one)
    assert (await kernel.get_order_state(one)).state is State.CANCELED
    assert (await kernel.get_order_state(other)).state is State.OPEN
    entry, then = await kernel.place_order_group(one_triggers_other())
    await kernel.cancel_order(then)
    assert str((await kernel.get_order_intent(then)).desired_state) == "Canceled"
    assert (await kernel.get_order_state(entry)).state is State.OPEN


# ── modify_order ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@check("modify_order", "returns once the exchange has it")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(REST)
    await kernel.modify_order(name, REST.model_copy(update={"price": Decimal(21000)}))
    state = await kernel.get_order_state(name)
    assert Decimal(bench.order(state)["price"]) == 21000
    assert (await kernel.get_order_intent(name)).order.price == 21000
    assert bench.order(state)["status"] == "NEW"


@check("modify_order", "to what it is already changes nothing")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(REST)
    before = (await kernel.get_order_state(name)).exchange_order_id
    await kernel.modify_order(name, REST)
    assert (await kernel.get_order_state(name)).exchange_order_id == before


@check("modify_order", "NotFoundError")
async def _(bench: Bench) -> None:
    await unknown_intent((await bench.kernel()).modify_order, REST)


@check("modify_order", "ValidationError for what can't be changed, and for an order that has finished")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(REST)
    with pytest.raises(ValidationError, match="side can't be changed"):
        await kernel.modify_order(name, REST.model_copy(update={"side": Side.SELL}))
    await kernel.cancel_order(name)

    async def finished() -> bool:
        return (await kernel.get_order_state(name)).finished

    await aeventually(finished, within=WITHIN_S, what="it has finished")
    with pytest.raises(ValidationError, match="finished"):
        await kernel.modify_order(name, REST.model_copy(update={"price": Decimal(21000)}))


@check("modify_order", "of a member edits its group, and returns once the exchange has it")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    one, other = await kernel.place_order_group(a_basket(REST, ETHER))
    await kernel.modify_order(one, REST.model_copy(update={"price": Decimal(21000)}))
    state = await kernel.get_order_state(one)
    assert (state.state, Decimal(bench.order(state)["price"]), bench.order(state)["status"]) == (State.OPEN, 21000, "NEW")
    assert (await kernel.get_order_state(other)).state is State.OPEN


# ── cancel_all_orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@check("cancel_all_orders", "cancels this kernel's orders, groups' and waiting members among them, and nobody else's")
async def _(bench: Bench) -> None:
    kernel, stranger = await bench.kernel(), await bench.stranger()
    theirs = await stranger.place_order(REST)
    names = [await kernel.place_order(REST), await kernel.place_order(ETHER), *await kernel.place_order_group(one_triggers_other())]
    assert await kernel.cancel_all_orders() == 4
    assert [(await kernel.get_order_state(name)).state for name in names] == [State.CANCELED] * 4
    assert (await stranger.get_order_state(theirs)).state is State.OPEN
    assert await kernel.cancel_all_orders() == 0


@check("cancel_all_orders", "of one market leaves the others")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    bitcoin, ether = await kernel.place_order(REST), await kernel.place_order(ETHER)
    assert await kernel.cancel_all_orders("ETH/USDT") == 1
    assert [(await kernel.get_order_state(name)).state for name in (bitcoin, ether)] == [State.OPEN, State.CANCELED]


# ── Queries ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@check("get_order_intent", "is what was handed over, and survives JSON")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    intent = await kernel.get_order_intent(await kernel.place_order(REST, {"level": 3, "why": ["a", None]}))
    assert intent.order == REST
    assert intent.metadata == {"level": 3, "why": ["a", None]}
    assert OrderIntent.model_validate_json(intent.model_dump_json()) == intent


@check("get_order_intent", "NotFoundError")
async def _(bench: Bench) -> None:
    await unknown_intent((await bench.kernel()).get_order_intent)


@check("get_order_state", "has its age, tells fills, and survives JSON")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(REST)
    bench.exchange.fill(str((await kernel.get_order_state(name)).client_order_id), "0.004")
    state = await bench.until(kernel, name, "PartiallyFilled")
    assert (state.filled_quantity, state.remaining_quantity, state.reachable) == (Decimal("0.004"), Decimal("0.006"), True)
    assert 0 <= state.age_seconds < 120
    assert OrderState.model_validate_json(state.model_dump_json()) == state


@check("get_order_state", "NotFoundError")
async def _(bench: Bench) -> None:
    await unknown_intent((await bench.kernel()).get_order_state)


@check("get_all_intents", "oldest first, waiting members among them; of one market, if it is named")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    names = [await kernel.place_order(REST), *await kernel.place_order_group(one_triggers_other()), await kernel.place_order(ETHER)]
    assert [intent.intent_id for intent in await kernel.get_all_intents()] == names
    assert [intent.intent_id for intent in await kernel.get_all_intents("ETH/USDT")] == names[-1:]
    assert await kernel.get_all_intents("NO/SUCH") == []


@check("get_all_orders", "oldest first, waiting members among them; of one market, if it is named")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    names = [await kernel.place_order(REST), *await kernel.place_order_group(one_triggers_other()), await kernel.place_order(ETHER)]
    states = await kernel.get_all_orders()
    assert [state.intent_id for state in states] == names
    assert [str(state.state) for state in states] == ["Open", "Open", "Pending", "Open"]
    assert [state.intent_id for state in await kernel.get_all_orders("ETH/USDT")] == names[-1:]


async def settled(kernel: ExchangeKernel) -> AccountState:
    """What the account holds, read whole while nothing filled."""
    async def read() -> AccountState | None:
        await kernel.force_reconciliation()
        state = await kernel.get_account_state()
        return state if state.settled else None

    return await aeventually(read, within=WITHIN_S, what="a reading between fills")


@check("get_positions", "tells what is held, by market and side, with its age; of one market, if it is named")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    state = await settled(kernel)
    (held,) = await kernel.get_positions("BTC/USDT")
    assert (str(held.side), held.contract_size) == ("Long", None)
    assert held.quantity == next(balance.total for balance in state.balances if balance.asset_id == "BTC")
    assert 0 <= held.age_seconds < 120
    assert [(one.symbol_id, str(one.side)) for one in await kernel.get_positions()] == [("BTC/USDT", "Long"), ("ETH/USDT", "Long")]


@check("get_positions", "NotFoundError for a market that does not exist")
async def _(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        await (await bench.kernel()).get_positions("NO/SUCH")


@check("get_account_state", "is one snapshot, which survives JSON")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    state = await kernel.get_account_state()
    assert {balance.asset_id for balance in state.balances} == {"BTC", "ETH", "USDT"}
    assert all(balance.total == balance.free + balance.used for balance in state.balances)
    assert (state.account, state.truncated) == (kernel._account, False)
    assert state.time <= state.answer_time
    assert AccountState.model_validate_json(state.model_dump_json()) == state


@check("get_account_state", "a fill is in a snapshot that began after it, and not in one that ended before")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    before = await settled(kernel)
    order = await bench.until(kernel, await kernel.place_order(MARKET), "Filled")
    paid = sum((fee.amount for fee in order.fees if fee.asset_id == "BTC"), Decimal(0))
    filled = [fill.time for fill in order.fills if fill.time is not None]
    after = await settled(kernel)
    assert before.answer_time < min(filled) <= max(filled) < after.time
    bitcoin = [next(balance.total for balance in state.balances if balance.asset_id == "BTC") for state in (before, after)]
    assert bitcoin[1] - bitcoin[0] == order.filled_quantity - paid


@check("get_symbol_metadata", "has the market's rules, and survives JSON")
async def _(bench: Bench) -> None:
    market = await (await bench.kernel()).get_symbol_metadata("BTC/USDT")
    assert (market.base_asset_id, market.quote_asset_id, market.settle_asset_id, str(market.market_type), market.active) == ("BTC", "USDT", None, "Spot", True)
    assert {"Market", "Limit", "StopLimit"} <= set(market.order_types)
    for rule in (market.quantity_step, market.price_step, market.min_quantity, market.min_notional):
        assert rule is not None
        assert rule > 0
    assert SymbolMetadata.model_validate_json(market.model_dump_json()) == market


@check("get_symbol_metadata", "NotFoundError")
async def _(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        await (await bench.kernel()).get_symbol_metadata("NO/SUCH")


@check("get_asset_metadata", "an asset, or NotFoundError")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    for asset_id in ("BTC", "USDT"):
        found = await kernel.get_asset_metadata(asset_id)
        assert (found.asset_id, found.active) == (asset_id, True)
    with pytest.raises(NotFoundError):
        await kernel.get_asset_metadata("NONE")


@check("list_symbols", "all markets, sorted")
async def _(bench: Bench) -> None:
    assert await (await bench.kernel()).list_symbols() == ["BTC/USDT", "ETH/USDT"]


NEED_A_START: dict[str, tuple[Any, ...]] = {
    "get_positions": (), "get_account_state": (), "get_symbol_metadata": ("BTC/USDT",), "get_asset_metadata": ("BTC",), "list_symbols": (),
    "force_reconciliation": (), "get_reconciliation_metrics": (),
}


def _needs_a_start(method: str) -> None:
    @check(method, "ExchangeError while the kernel is not started, and after its stop")
    async def _(bench: Bench) -> None:
        for kernel in (bench.not_started(), await bench.kernel()):
            await kernel.stop()
            with pytest.raises(ExchangeError, match=r"call start\(\)"):
                await getattr(kernel, method)(*NEED_A_START[method])


for _method in NEED_A_START:
    _needs_a_start(_method)


# ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@check("subscribe_events", "each order's events in order, numbered without gaps, adding up to what is filled")
async def _(bench: Bench) -> None:
    kernel, heard = await bench.kernel(), list[BaseEvent]()
    kernel.subscribe_events(heard.append)
    name = await kernel.place_order(REST)
    client_order_id = str((await kernel.get_order_state(name)).client_order_id)
    for quantity in ("0.004", "0.006"):
        bench.exchange.fill(client_order_id, quantity)
    await aeventually(lambda: any(event.event_type == "Finished" for event in heard), within=WITHIN_S, what="Finished is told")
    assert [event.sequence for event in heard] == list(range(1, len(heard) + 1))
    assert (heard[0].event_type, heard[-1].event_type) == ("Accepted", "Finished")
    assert sum((getattr(event, "quantity", 0) for event in heard), Decimal(0)) == Decimal("0.01")
    assert all(event_from_json(event.model_dump_json()) == event for event in heard)


@check("subscribe_events", "members' events are told, a stranger's are not, and a filter is kept")
async def _(bench: Bench) -> None:
    kernel, stranger, all_, some = await bench.kernel(), await bench.stranger(), list[BaseEvent](), list[BaseEvent]()
    kernel.subscribe_events(all_.append)
    kernel.subscribe_events(some.append, EventFilter(event_type="Accepted", symbol_id="ETH/USDT"))
    await stranger.place_order(REST)
    names = await kernel.place_order_group(a_basket(REST, ETHER))
    for name in names:
        await bench.until(kernel, name, "Open")
    await aeventually(lambda: {event.intent_id for event in all_} == set(names), within=WITHIN_S, what="both members' events")
    await aeventually(lambda: [event.intent_id for event in some] == names[1:], within=WITHIN_S, what="the filtered event")


@check("unsubscribe_events", "nothing is told any more; a subscription that is not there is no error")
async def _(bench: Bench) -> None:
    kernel, heard, other = await bench.kernel(), list[BaseEvent](), list[BaseEvent]()
    kernel.unsubscribe_events(kernel.subscribe_events(heard.append))
    kernel.unsubscribe_events("no-such-subscription")
    kernel.subscribe_events(other.append)
    await kernel.place_order(REST)
    await aeventually(lambda: len(other) > 0, within=WITHIN_S, what="the other one hears")
    assert heard == []


# ── Life ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@check("start", "may be repeated, and what is there already is told as a checkpoint")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(REST)
    await kernel.stop()
    again, heard = bench.not_started(), list[BaseEvent]()
    again.subscribe_events(heard.append)
    await asyncio.gather(again.start(), again.start())
    await again.start()
    await aeventually(lambda: [(event.intent_id, str(event.event_type)) for event in heard] == [(name, "Resynced")], within=WITHIN_S, what="one Resynced")
    assert (await again.get_order_state(name)).state is State.OPEN
    await again.stop()


@check("stop", "cancels nothing, may be repeated, and can be followed by start")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(REST)
    state = await kernel.get_order_state(name)
    await kernel.stop()
    await kernel.stop()
    assert bench.order(state)["status"] == "NEW"
    with pytest.raises(ExchangeError):
        await kernel.get_order_state(name)
    await kernel.start()
    assert (await kernel.get_order_state(name)).state is State.OPEN


@check("health_check", "healthy once reconciled; not while it is not started, and says why")
async def _(bench: Bench) -> None:
    stopped = await bench.not_started().health_check()
    assert (stopped["healthy"], bool(stopped["problems"])) == (False, True)
    kernel = await bench.kernel()
    await kernel.place_order(REST)

    async def healthy() -> bool:
        return (await kernel.health_check())["healthy"] is True

    await aeventually(healthy, within=WITHIN_S, what="it is healthy")
    assert (await kernel.health_check())["problems"] == []


@check("force_reconciliation", "returns when it is done, for one and for all, and changes nothing by itself")
async def _(bench: Bench) -> None:
    kernel, heard = await bench.kernel(), list[BaseEvent]()
    name = await kernel.place_order(REST)
    before = await kernel.get_order_state(name)
    kernel.subscribe_events(heard.append)
    await kernel.force_reconciliation(name)
    await kernel.force_reconciliation()
    after = await kernel.get_order_state(name)
    assert (after.state, after.exchange_order_id, after.sequence) == (before.state, before.exchange_order_id, before.sequence)
    assert len(bench.exchange.orders(before.client_order_id)) == 1
    assert heard == []


@check("force_reconciliation", "of one order finds what no stream told of it")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(REST)
    client_order_id = str((await kernel.get_order_state(name)).client_order_id)
    with bench.silent_stream():
        bench.exchange.fill(client_order_id, "0.004")
        await kernel.force_reconciliation(name)
        state = await kernel.get_order_state(name)
        assert (state.state, state.filled_quantity) == (State.PARTIALLY_FILLED, Decimal("0.004"))


@check("force_reconciliation", "of all orders finds what no stream told of any")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    name = await kernel.place_order(REST)
    client_order_id = str((await kernel.get_order_state(name)).client_order_id)
    with bench.silent_stream():
        bench.exchange.fill(client_order_id, "0.004")
        await kernel.force_reconciliation()

        async def known() -> bool:
            return (await kernel.get_order_state(name)).filled_quantity == Decimal("0.004")

        await aeventually(known, within=20, what="the fill is known")          # a sweep comes every minute by itself


@check("force_reconciliation", "of an order that has finished, or waits to be made, has nothing to ask")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    _, then = await kernel.place_order_group(one_triggers_other())
    await kernel.force_reconciliation(then)
    assert (await kernel.get_order_state(then)).state is State.PENDING
    name = await kernel.place_order(REST)
    await kernel.cancel_order(name)

    async def finished() -> bool:
        return (await kernel.get_order_state(name)).finished

    await aeventually(finished, within=WITHIN_S, what="it has finished")
    await kernel.force_reconciliation(name)


@check("force_reconciliation", "calls at the same time share one run")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()

    def readings() -> int:
        return bench.exchange.requests().get("GET /api/v3/openOrders", 0)

    before = readings()
    await asyncio.gather(*(kernel.force_reconciliation() for _ in range(10)))
    assert 1 <= readings() - before <= 3          # one is the timer's, perhaps


@check("force_reconciliation", "NotFoundError")
async def _(bench: Bench) -> None:
    await unknown_intent((await bench.kernel()).force_reconciliation)


@check("get_reconciliation_metrics", "has these keys, as numbers that survive JSON")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    await kernel.place_order(REST)
    await kernel.force_reconciliation()
    metrics = await kernel.get_reconciliation_metrics()
    assert set(metrics) == set(METRICS)
    assert set(metrics["discrepancies"]) == set(DISCREPANCIES)
    assert json.loads(json.dumps(metrics)) == metrics
    assert metrics["sweeps"] > metrics["failed_sweeps"] == 0
    assert metrics["sends"] > metrics["failed_sends"] == 0
    assert (metrics["sweep_error_rate"], metrics["send_error_rate"], metrics["unknown_orders"]) == (0, 0, 0)
    assert 0 <= metrics["lag_seconds"] < 60
    assert 0 <= metrics["age_seconds"] < 60


@check("get_reconciliation_metrics", "tells an order that is not ours")
async def _(bench: Bench) -> None:
    kernel = await bench.kernel()
    bench.exchange.by_hand("POST", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="20000", newClientOrderId="web-1")
    try:
        await kernel.force_reconciliation()
        assert (await kernel.get_reconciliation_metrics())["external_orders"] == 1
    finally:
        bench.exchange.by_hand("DELETE", origClientOrderId="web-1")


assert all(inspect.iscoroutinefunction(one.run) for one in CHECKS)
assert {one.method for one in CHECKS} == set(METHODS)
