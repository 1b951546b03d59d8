"""LocalKernel holds its account to RiskLimits and a trading mode, by the operator's own checks."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from exchange_kernel.api import AccountSelector, NotionalLimit, PositionLimit, RiskLimitSpec, TradingMode
from exchange_kernel.core.answers import Balance
from exchange_kernel.core.answers import Position as Held
from exchange_kernel.kernel import LocalKernel, State, ValidationError
from exchange_kernel.schema import GroupMember, GroupMode, PositionEffect, Side, StandardOrderGroup
from tests.scripted import ScriptedExchange, until
from tests.unit.groups.desk import PERPETUAL, VENUE
from tests.unit.kernel.desks import LIMIT, a_local_kernel
from tests.virtual_time import run

DEAR = RiskLimitSpec(max_order_notional=[NotionalLimit(asset="USDT", amount=Decimal(1000))])
AMPLE = RiskLimitSpec(max_order_notional=[NotionalLimit(asset="USDT", amount=Decimal(1_000_000))])
SMALL = LIMIT.model_copy(update={"quantity": Decimal("0.01")})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


@pytest.mark.parametrize(("limits", "says"), [
    ({"desk": DEAR}, "RiskLimit desk: maxOrderNotional is 1000 USDT, and the order is worth 50000 USDT."),
    ({"ample": AMPLE, "desk": DEAR}, "RiskLimit desk: maxOrderNotional is 1000 USDT"),
    ({"dollars": DEAR, "types": RiskLimitSpec(allowed_types=["Market"])}, "RiskLimit types: its allowedTypes are Market, and the order is of type Limit."),
    ({"coins": RiskLimitSpec(max_position=[PositionLimit(symbol="BTC/USDT", quantity=Decimal("0.5"))])}, "RiskLimit coins: maxPosition of BTC/USDT is 0.5"),
], ids=["one", "all of several must be kept", "a type", "a position"])
def test_an_order_beyond_a_limit_is_denied_and_never_sent(path, limits, says):
    async def story():
        exchange = ScriptedExchange()
        async with a_local_kernel(path, exchange, risk_limits=limits) as kernel:
            with pytest.raises(ValidationError, match=says) as refused:
                await kernel.place_order(LIMIT)
            assert (await kernel.get_order_state(refused.value.intent_id)).state is State.DENIED
        assert "submit" not in exchange.calls

    run(story())


def test_what_keeps_all_limits_is_sent(path):
    async def story():
        exchange = ScriptedExchange()
        async with a_local_kernel(path, exchange, risk_limits={"dear": DEAR, "few": RiskLimitSpec(max_open_orders=5)}) as kernel:
            assert (await kernel.get_order_state(await kernel.place_order(SMALL))).state is State.OPEN

    run(story())


def test_one_order_more_than_may_be_open_waits_and_says_for_what(path):
    async def story():
        exchange = ScriptedExchange()
        async with a_local_kernel(path, exchange, acknowledge_timeout=2, risk_limits={"few": RiskLimitSpec(max_open_orders=1)}) as kernel:
            first, second = [await kernel.place_order(LIMIT) for _ in range(2)]
            waiting = await kernel.get_order_state(second)
            assert (waiting.state, waiting.reason) == (State.PENDING, "RiskLimit")
            assert waiting.message == "RiskLimit few: maxOpenOrders is 1: it is sent once fewer are open."
            await kernel.cancel_order(first)
            await until(lambda: kernel._mirror.get(second).intent.status.state is State.OPEN)

    run(story())


def test_a_minute_that_began_before_a_restart_counts(path):
    async def story():
        exchange, limits = ScriptedExchange(), {"slow": RiskLimitSpec(max_orders_per_minute=2)}
        async with a_local_kernel(path, exchange, risk_limits=limits) as kernel:
            for _ in range(2):
                await kernel.place_order(LIMIT)
        async with a_local_kernel(path, exchange, acknowledge_timeout=2, risk_limits=limits) as kernel:
            name = await kernel.place_order(LIMIT)
            assert (await kernel.get_order_state(name)).reason == "RiskLimit"
            await until(lambda: kernel._mirror.get(name).intent.status.state is State.OPEN, within=70)

    run(story())


def test_a_leg_of_a_group_beyond_a_limit_keeps_the_whole_group_from_being_sent(path):
    async def story():
        exchange = ScriptedExchange()
        exchange.market, exchange.capabilities = PERPETUAL, VENUE
        legs = [GroupMember(name=name, order=LIMIT.model_copy(update={"side": Side.SELL, "quantity": Decimal(size)})) for name, size in (("small", 1), ("large", 100))]
        async with a_local_kernel(path, exchange, risk_limits={"desk": DEAR}) as kernel:
            with pytest.raises(ValidationError, match="RiskLimit desk: maxOrderNotional is 1000 USDT, and the order is worth 5000 USDT"):
                await kernel.place_order_group(StandardOrderGroup(mode=GroupMode.ONE_CANCELS_OTHER, members=legs))
            await asyncio.sleep(10)
        assert [order for order in exchange.orders_by_id.values() if not order.status.ended] == []

    run(story())


@pytest.mark.parametrize("held", [-7, 9])
def test_the_position_in_a_contract_is_read_though_the_account_has_no_type(path, held):
    async def story():
        exchange = ScriptedExchange()
        exchange.market, exchange.capabilities = PERPETUAL, VENUE
        exchange.held_positions = [Held(PERPETUAL.symbol, "Net", Decimal(held))]
        limits = {"desk": RiskLimitSpec(max_position=[PositionLimit(symbol=PERPETUAL.symbol, quantity=Decimal(10))])}
        async with a_local_kernel(path, exchange, risk_limits=limits) as kernel:
            with pytest.raises(ValidationError, match="maxPosition of BTC/USDT is 10"):
                await kernel.place_order(LIMIT.model_copy(update={"quantity": Decimal(11 - held)}))
            await kernel.place_order(LIMIT.model_copy(update={"quantity": Decimal(10 - held)}))
        assert [order.quantity for order in exchange.orders_by_id.values()] == [Decimal(10 - held)]

    run(story())


def test_on_spot_no_positions_are_asked_for(path):
    async def story():
        exchange = ScriptedExchange()
        exchange.held_balances = [Balance("BTC", Decimal(1), Decimal(0))]
        exchange.positions = None
        limits = {"desk": RiskLimitSpec(max_position=[PositionLimit(symbol="BTC/USDT", quantity=Decimal(2))])}
        async with a_local_kernel(path, exchange, risk_limits=limits) as kernel:
            assert (await kernel.get_order_state(await kernel.place_order(LIMIT))).state is State.OPEN

    run(story())


def test_a_trading_mode_holds_sends_and_no_cancel(path):
    async def story():
        exchange = ScriptedExchange()
        exchange.market, exchange.capabilities = PERPETUAL, VENUE
        order = LIMIT.model_copy(update={"side": Side.SELL})
        async with a_local_kernel(path, exchange) as kernel:
            name = await kernel.place_order(order)
        async with a_local_kernel(path, exchange, acknowledge_timeout=2, trading_mode=TradingMode.REDUCE_ONLY) as kernel:
            opens = await kernel.place_order(order)
            assert (await kernel.get_order_state(opens)).reason == "TradingModeReduceOnly"
            closes = await kernel.place_order(order.model_copy(update={"position_effect": PositionEffect.REDUCE_ONLY}))
            assert (await kernel.get_order_state(closes)).state is State.OPEN
        async with a_local_kernel(path, exchange, acknowledge_timeout=2, trading_mode=TradingMode.CANCEL_ONLY) as kernel:
            assert (await kernel.get_order_state(await kernel.place_order(order))).reason == "TradingModeCancelOnly"
            await kernel.cancel_order(name)
            assert (await kernel.get_order_state(name)).state is State.CANCELED
        assert len(exchange.orders_by_id) == 2

    run(story())


@pytest.mark.parametrize(("limit", "says"), [
    (RiskLimitSpec(), "RiskLimit desk: a RiskLimit must limit something"),
    (RiskLimitSpec(max_open_orders=1, account_selector=AccountSelector(names=["other"])), "RiskLimit desk: its accountSelector does not name scripted"),
])
def test_a_limit_that_would_limit_nothing_is_refused(limit, says):
    with pytest.raises(ValidationError, match=says):
        LocalKernel("scripted", ScriptedExchange(), risk_limits={"desk": limit})
