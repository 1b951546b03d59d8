"""LocalKernel's own promises: the file, its lock, restarts, and what it says of the account. What both kernels promise is tests/conformance's."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from exchange_kernel.core.answers import Balance
from exchange_kernel.core.answers import Position as Held
from exchange_kernel.kernel import ExchangeError, LocalKernel, NotFoundError, State, ValidationError
from exchange_kernel.schema import GroupMember, GroupMode, OrderType, Side, StandardOrder, StandardOrderGroup
from exchange_kernel.stores.sqlite import OrdersFile
from tests.scripted import LoopClock, ScriptedExchange, until
from tests.unit.groups.desk import PERPETUAL, VENUE
from tests.unit.kernel.desks import LIMIT, a_local_kernel
from tests.virtual_time import run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


def the_order(exchange: ScriptedExchange):
    (order,) = exchange.orders_by_id.values()
    return order


def test_an_order_lives_in_process_and_is_filled(path):
    async def story():
        exchange, heard = ScriptedExchange(), []
        async with a_local_kernel(path, exchange, heard=heard) as kernel:
            name = await kernel.place_order(LIMIT, {"why": ["a", None]})
            assert (await kernel.get_order_state(name)).state is State.OPEN
            exchange.fill(the_order(exchange).client_order_id, "1")
            await until(lambda: any(event.event_type == "Finished" for event in heard))
            state = await kernel.get_order_state(name)
            assert (state.state, state.filled_quantity, state.finished) == (State.FILLED, Decimal(1), True)
            assert (await kernel.get_order_intent(name)).metadata == {"why": ["a", None]}
            assert (await kernel.health_check())["problems"] == []
        assert [str(event.event_type) for event in heard] == ["Accepted", "Filled", "Finished"]

    run(story())


def test_what_happened_while_no_kernel_ran_is_found_at_the_next_start(path):
    async def story():
        exchange = ScriptedExchange()
        async with a_local_kernel(path, exchange) as kernel:
            name = await kernel.place_order(LIMIT)
        assert not the_order(exchange).status.ended, "a stop cancels nothing"
        exchange.fill(the_order(exchange).client_order_id, "1", tell=False)
        async with a_local_kernel(path, exchange) as kernel:
            await until(lambda: kernel._mirror.get(name).intent.finished)
            assert (await kernel.get_order_state(name)).state is State.FILLED
        assert len(exchange.orders_by_id) == 1

    run(story())


def test_the_same_kernel_can_be_stopped_and_started_and_tells_what_it_missed(path):
    async def story():
        exchange, heard = ScriptedExchange(), []
        kernel = LocalKernel("scripted", exchange, path=path, clock=LoopClock())
        kernel.subscribe_events(heard.append)
        await kernel.start()
        await kernel.place_order(LIMIT)
        await kernel.stop()
        exchange.fill(the_order(exchange).client_order_id, "1", tell=False)
        await kernel.start()
        await until(lambda: heard[-1].event_type == "Finished")
        await kernel.stop()
        assert [event.sequence for event in heard] == list(range(1, len(heard) + 1))

    run(story())


def test_a_second_kernel_on_the_file_is_told_so(path):
    async def story():
        exchange = ScriptedExchange()
        async with a_local_kernel(path, exchange):
            with pytest.raises(ExchangeError, match="in use by another process, or by another kernel"):
                await LocalKernel("scripted", exchange, path=path, clock=LoopClock()).start()
        async with a_local_kernel(path, exchange):
            pass

    run(story())


def test_an_exchange_that_does_not_answer_is_told_by_health_and_not_by_start(path):
    async def story():
        exchange = ScriptedExchange()
        exchange.reachable = False
        async with a_local_kernel(path, exchange, acknowledge_timeout=2) as kernel:
            health = await kernel.health_check()
            assert not health["healthy"]
            assert "The exchange does not answer" in health["problems"][0]
            with pytest.raises(ExchangeError, match="does not answer"):
                await kernel.list_symbols()
            name = await kernel.place_order(LIMIT)
            assert (await kernel.get_order_state(name)).state is State.PENDING
            exchange.reachable = True
            await until(lambda: kernel._mirror.get(name).intent.status.state is State.OPEN)

    run(story())


@pytest.mark.parametrize(("change", "says"), [
    ({"quantity": Decimal("0.0000001")}, "smallest order"),
    ({"symbol_id": "NO/SUCH"}, "list_symbols names them"),
    ({"exchange_parameters": {"selfTradePrevention": "ExpireMaker"}}, "selfTradePrevention would be lost"),
    ({"type": OrderType.TRAILING_STOP, "price": None, "trailing": {"offset": "1", "unit": "Price"}}, "has no orders of type TrailingStop"),
])
def test_an_order_that_its_market_does_not_take_is_not_placed(path, change, says):
    async def story():
        exchange = ScriptedExchange()
        async with a_local_kernel(path, exchange) as kernel:
            with pytest.raises(ValidationError, match=says):
                await kernel.place_order(LIMIT.model_validate({**LIMIT.model_dump(), **change}))
            assert await kernel.get_all_orders() == []

    run(story())


def test_markets_and_assets_are_the_exchange_s(path):
    async def story():
        async with a_local_kernel(path, ScriptedExchange()) as kernel:
            market = await kernel.get_symbol_metadata("BTC/USDT")
            assert (market.base_asset_id, market.quote_asset_id, str(market.market_type), market.active) == ("BTC", "USDT", "Spot", True)
            assert OrderType.LIMIT in market.order_types
            assert (await kernel.get_asset_metadata("BTC")).asset_id == "BTC"
            assert await kernel.list_symbols() == ["BTC/USDT"]
            for call, name in ((kernel.get_symbol_metadata, "NO/SUCH"), (kernel.get_asset_metadata, "NONE"), (kernel.get_positions, "NO/SUCH")):
                with pytest.raises(NotFoundError):
                    await call(name)

    run(story())


def test_on_spot_what_is_held_is_the_position_and_dust_is_none(path):
    async def story():
        exchange = ScriptedExchange()
        async with a_local_kernel(path, exchange) as kernel:
            exchange.held_balances = [Balance("BTC", Decimal("0.5"), Decimal("0.25")), Balance("USDT", Decimal(7), Decimal(0))]
            state = await kernel.get_account_state()
            assert {one.asset_id: (one.free, one.used, one.total) for one in state.balances}["BTC"] == (Decimal("0.5"), Decimal("0.25"), Decimal("0.75"))
            assert [(one.symbol_id, str(one.side), one.quantity) for one in await kernel.get_positions()] == [("BTC/USDT", "Long", Decimal("0.75"))]
            exchange.held_balances = [Balance("BTC", Decimal("0.0000000001"), Decimal(0))]
            assert await kernel.get_positions("BTC/USDT") == []

    run(story())


def test_on_derivatives_positions_are_by_symbol_and_side(path):
    async def story():
        exchange = ScriptedExchange()
        exchange.market = PERPETUAL
        exchange.held_positions = [Held("BTC/USDT", "Net", Decimal(-3), Decimal(100)), Held("BTC/USDT", "Long", Decimal(2)), Held("BTC/USDT", "Short", Decimal(0))]
        async with a_local_kernel(path, exchange) as kernel:
            found = [(str(one.side), one.quantity, one.contract_size) for one in await kernel.get_positions()]
        assert found == [("Long", Decimal(2), Decimal("0.001")), ("Short", Decimal(3), Decimal("0.001"))]

    run(story())


def test_a_backtest_of_many_orders_takes_no_time(path):
    """Hours in virtual time, the reconcilers as they are."""

    async def story():
        exchange = ScriptedExchange()
        exchange.fills_at_once = True
        async with a_local_kernel(path, exchange) as kernel:
            began = asyncio.get_running_loop().time()
            for number in range(6):
                await kernel.place_order(replace_price(number))
                await asyncio.sleep(3600)
            await until(lambda: all(known.intent.finished for known in kernel._mirror.all()))
            assert asyncio.get_running_loop().time() - began > 20_000
            assert {str(order.state) for order in await kernel.get_all_orders()} == {"Filled"}
        assert len(exchange.orders_by_id) == 6

    def replace_price(number: int):
        return LIMIT.model_copy(update={"price": Decimal(50000 + number)})

    run(story())


def test_an_exchange_that_was_handed_over_is_left_open_and_one_that_was_made_is_closed(path):
    closed = []

    class Closing(ScriptedExchange):
        async def close(self):
            closed.append(self)

    async def story():
        exchange = Closing()
        async with a_local_kernel(path, exchange):
            pass
        assert closed == []
        async with a_local_kernel(path, Closing):
            pass
        assert len(closed) == 1

    run(story())


def test_a_name_that_can_name_no_account_is_refused():
    with pytest.raises(ValidationError, match="can't name an account"):
        LocalKernel("My Exchange")


def test_what_a_fill_makes_cancel_is_asked_for_before_anything_is_written(path, monkeypatch):
    async def story():
        exchange = ScriptedExchange()
        exchange.market, exchange.capabilities = PERPETUAL, VENUE
        async with a_local_kernel(path, exchange) as kernel:
            legs = [GroupMember(name=name, order=LIMIT.model_copy(update={"side": Side.SELL, "price": Decimal(price)})) for name, price in (("near", 51000), ("far", 60000))]
            near, far = await kernel.place_order_group(StandardOrderGroup(mode=GroupMode.ONE_CANCELS_OTHER, members=legs))
            await asyncio.sleep(5)
            write = OrdersFile.write
            monkeypatch.setattr(OrdersFile, "write", lambda file, *change: (exchange.calls.append("write"), write(file, *change))[1])
            exchange.calls.clear()
            exchange.fill(kernel._mirror.get(near).intent.status.client_order_id, "1")
            await until(lambda: kernel._mirror.get(far).intent.status.state is State.CANCELED)
            assert exchange.calls[0] == "cancel"
            assert "write" in exchange.calls

    run(story())


def a_stop(name: str = "stop") -> GroupMember:
    return GroupMember(name=name, role="StopLoss", order=StandardOrder(symbol_id="BTC/USDT", side=Side.SELL, type=OrderType.STOP_MARKET, trigger_price="45000", quantity="10"))


def test_a_position_that_is_there_is_protected_in_process(path):
    async def story():
        exchange = ScriptedExchange()
        exchange.market, exchange.capabilities, exchange.held_positions = PERPETUAL, VENUE, [Held("BTC/USDT", "Net", Decimal(6))]
        async with a_local_kernel(path, exchange) as kernel:
            stop, = await kernel.place_order_group(StandardOrderGroup(mode=GroupMode.EXITS, position="Account", members=[a_stop()]))
            await until(lambda: kernel._mirror.get(stop).intent.status.state is State.OPEN)
            order, = exchange.orders_by_id.values()
            assert (order.quantity, order.type) == (6, "StopMarket")

    run(story())


def test_a_position_is_closed_after_its_time_in_process(path):
    async def story():
        exchange = ScriptedExchange()
        exchange.market, exchange.capabilities = PERPETUAL, VENUE
        async with a_local_kernel(path, exchange) as kernel:
            entry = GroupMember(name="entry", role="Entry", order=LIMIT.model_copy(update={"side": Side.BUY, "price": Decimal(50000), "quantity": Decimal(10)}))
            opened, _ = await kernel.place_order_group(StandardOrderGroup(mode=GroupMode.ONE_TRIGGERS_OTHER, position_time_limit_seconds=60, members=[entry, a_stop()]))
            await until(lambda: kernel._mirror.get(opened).intent.status.state is State.OPEN)
            exchange.fill(kernel._mirror.get(opened).intent.status.client_order_id, "4")
            await until(lambda: any(order.type == "Market" and order.quantity == 4 for order in exchange.orders_by_id.values()), within=90)

    run(story())
