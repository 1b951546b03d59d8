"""LocalKernel refuses a group up front, and says in a dry run what would be sent: on the simulated exchange in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from exchange_kernel.api import RiskLimitSpec
from exchange_kernel.exchanges.simulated import InProcessExchange, LoopClock, Settings, SimulatedExchange
from exchange_kernel.kernel import Check, ExchangeError, LocalKernel, ValidationError
from exchange_kernel.schema import GroupMember, GroupMode, MemberRole, NativePolicy, OrderType, Side, StandardOrder, StandardOrderGroup
from tests.unit.kernel.desks import LIMIT
from tests.virtual_time import scenario

WITHOUT_STOPS = "LTC/USDT"


@asynccontextmanager
async def a_kernel(price: int = 60000, **options) -> AsyncIterator[tuple[LocalKernel, SimulatedExchange]]:
    clock = LoopClock()
    settings = Settings(symbols=["BTC/USDT", WITHOUT_STOPS], order_types={WITHOUT_STOPS: ["LIMIT", "LIMIT_MAKER", "MARKET"]}, market_maker=False)
    exchange = SimulatedExchange(settings, clock=clock)
    exchange.set_price("BTC/USDT", Decimal(price))
    kernel = LocalKernel("simulated", InProcessExchange(exchange, clock), ":memory:", clock=clock, **options)
    await kernel.start()
    try:
        yield kernel, exchange
    finally:
        await kernel.stop()


def a_group(*, symbol: str = "BTC/USDT", entry: str | None = "50000", quantity: str = "0.01", trigger: str = "45000", price: str = "44900", mode=GroupMode.BRACKET):
    kind = OrderType.LIMIT if entry is not None else OrderType.MARKET
    first = StandardOrder(symbol_id=symbol, side=Side.BUY, type=kind, quantity=quantity, price=entry)
    stop = StandardOrder(symbol_id=symbol, side=Side.SELL, type=OrderType.STOP_LIMIT, quantity=quantity, price=price, trigger_price=trigger)
    members = [GroupMember(name="entry", role=MemberRole.ENTRY, order=first), GroupMember(name="stop", role=MemberRole.STOP_LOSS, order=stop)]
    return StandardOrderGroup(mode=mode, native_policy=NativePolicy.NEVER, members=members)


SEEN = [
    pytest.param(a_group(entry=None, quantity="0.0001"), "Member stop: .*smallest order is 5 USDT", id="an entry of 6 USDT whose stop is worth 4.49"),
    pytest.param(a_group(entry=None, quantity="0.0001", mode=GroupMode.ONE_TRIGGERS_OTHER), "Member stop: .*smallest order is 5 USDT", id="the same in another mode"),
    pytest.param(a_group(symbol=WITHOUT_STOPS, entry="70", quantity="1", trigger="60", price="59"), "Member stop: .*no orders of type StopLimit", id="no stop orders"),
    pytest.param(a_group(trigger="65000", price="64900"), "Member stop: a StopLoss that sells is below the Entry's price", id="a long's stop above its entry"),
    pytest.param(a_group(entry=None, trigger="65000", price="64900"), "Member stop: .*below the market's last price", id="above the last price"),
]


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize(("group", "says"), SEEN)
@scenario
async def test_nothing_is_bought_that_can_not_be_protected(group, says):
    async with a_kernel() as (kernel, exchange):
        checked = await kernel.check(group)
        assert (checked.accepted, len(checked.refusals), checked.native) == (False, 1, False)
        with pytest.raises(ValidationError, match=says):
            await kernel.place_order_group(group)
        assert (await kernel.get_all_intents(), await kernel.get_all_orders(), list(exchange.user.open.values())) == ([], [], [])
        assert not any(exchange.user.orders.values())


@pytest.mark.proves("rule 16")
@pytest.mark.parametrize("acknowledge", [0, 10])
@scenario
async def test_a_group_that_can_be_protected_is_bought_and_protected(acknowledge):
    async with a_kernel(acknowledge_timeout=acknowledge) as (kernel, _):
        group = a_group(entry=None)
        assert (await kernel.check(group)).accepted
        assert len(await kernel.place_order_group(group)) == 2


@scenario
async def test_a_dry_run_tells_what_would_be_sent_rounded_and_sends_nothing():
    async with a_kernel() as (kernel, exchange):
        found = await kernel.check(a_group(entry="50000.007", quantity="0.0123456"))
        assert found.accepted
        assert [(one.name, one.quantity, one.price, one.trigger_price, one.after_entry) for one in found.orders] == [
            ("entry", Decimal("0.01234"), Decimal("50000"), None, False), ("stop", Decimal("0.01233"), Decimal("44900"), Decimal("45000"), True)]
        assert found.not_judged == ()
        assert Check.model_validate_json(found.model_dump_json()) == found
        order = await kernel.check(LIMIT.model_copy(update={"quantity": Decimal("0.0123456")}))
        assert (order.accepted, order.orders[0].quantity) == (True, Decimal("0.01234"))
        assert not any(exchange.user.orders.values())


@scenario
async def test_a_dry_run_tells_all_that_would_be_refused():
    async with a_kernel(risk_limits={"desk": RiskLimitSpec.model_validate({"allowedTypes": ["Limit"]})}) as (kernel, _):
        found = await kernel.check(a_group(trigger="65000", price="64900"))
        assert [sentence.partition(":")[0] for sentence in found.refusals] == ["Member stop", "Member stop"]
        tiny = await kernel.check(LIMIT.model_copy(update={"quantity": Decimal("0.00001")}))
        assert "smallest notional" in tiny.refusals[0]
        assert "allowedTypes are Limit" in (await kernel.check(LIMIT.model_copy(update={"type": OrderType.MARKET, "price": None}))).refusals[0]
        assert "no market" in (await kernel.check(LIMIT.model_copy(update={"symbol_id": "DOGE/USDT"}))).refusals[0]
        assert "price is required" in (await kernel.check(LIMIT.model_copy(update={"price": None}))).refusals[0]
        assert "two members" in (await kernel.check(StandardOrderGroup(mode=GroupMode.ONE_CANCELS_OTHER, members=[GroupMember(name="one", order=LIMIT)]))).refusals[0]


@scenario
async def test_a_dry_run_needs_a_kernel_that_is_started():
    kernel = LocalKernel("simulated", None, ":memory:", clock=LoopClock())
    with pytest.raises(ExchangeError, match="not started"):
        await kernel.check(LIMIT)
