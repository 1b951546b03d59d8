"""A stop that the exchange refuses while a position is open: LocalKernel, real ccxt, sockets, and a simulated exchange that moves, halts and re-filters."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exchange_kernel.core.answers import Refused
from exchange_kernel.exchanges.simulated import Settings, SimulatedExchange, serve
from exchange_kernel.kernel.local import LocalKernel
from exchange_kernel.schema import GroupMember, GroupMode, MemberRole, OrderType, Side, StandardOrder, StandardOrderGroup
from tests.contract.test_ccxt_against_simulated import Gate, a_request
from tests.contract.test_markets_that_age import Control, a_desk, a_venue, reaches
from tests.support import aeventually


def bought(quantity: str = "0.5", trigger: str = "45000.13") -> StandardOrderGroup:
    """An entry that rests at 50000, and a stop for what it fills."""
    entry = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity=quantity, price="50000")
    stop = StandardOrder(symbol_id="BTC/USDT", side=Side.SELL, type=OrderType.STOP_MARKET, quantity=quantity, trigger_price=trigger)
    return StandardOrderGroup(mode=GroupMode.BRACKET, members=(
        GroupMember(name="entry", role=MemberRole.ENTRY, order=entry), GroupMember(name="stop", role=MemberRole.STOP_LOSS, order=stop)))


async def entry_rests(kernel: LocalKernel, venue: Control, group: StandardOrderGroup) -> tuple[str, str]:
    """The names of the entry and the stop, once the entry is open."""
    entry, stop = await kernel.place_order_group(group)
    await reaches(kernel, entry, "Open")
    return entry, stop


async def fill(venue: Control) -> None:
    (order,) = [one for one in await venue.orders() if one["side"] == "BUY"]
    await venue.fill(order["clientOrderId"], order["origQty"])


async def conditions(kernel: LocalKernel, *wanted: tuple[str, str, str]) -> None:
    def say() -> dict[str, Any]:
        (group,) = kernel._desk.groups.everything()  # type: ignore[union-attr]
        return {one.type: one for one in group.status.conditions}

    async def told() -> bool:
        found = say()
        return all(kind in found and (str(found[kind].status), found[kind].reason) == (status, reason) for kind, status, reason in wanted)

    await aeventually(told, within=60, what=f"the group says {wanted}")


async def attempts_of(kernel: LocalKernel, name: str) -> list[Any]:
    return next(list(one.status.attempts) for one in kernel._desk.intents.everything() if one.name == name)  # type: ignore[union-attr]


async def the_sell(venue: Control, check: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async def there() -> dict[str, Any] | None:
        return next((one for one in await venue.orders() if one["side"] == "SELL" and check(one)), None)

    return await aeventually(there, within=60, what="the exit is at the exchange")


async def test_the_exchange_says_that_the_trigger_was_passed() -> None:
    async with a_venue() as venue:
        exchange = venue.adapter()
        try:
            await exchange.markets()
            traded = a_request()
            await exchange.submit(traded, Gate())
            await venue.fill(traded.client_order_id, str(traded.quantity))
            refused = await exchange.submit(a_request(side="Sell", type="StopMarket", price=None, time_in_force=None, trigger_price=Decimal(70000)), Gate())
            assert isinstance(refused, Refused)
            assert refused.kind == "TriggerPassed"
        finally:
            await exchange.close()


async def test_my_entry_filled_under_the_stop_s_price_and_the_position_is_closed_at_market(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (kernel, venue):
        entry, stop = await entry_rests(kernel, venue, bought(trigger="49000"))
        lower = StandardOrder(symbol_id="BTC/USDT", side=Side.BUY, type=OrderType.LIMIT, quantity="0.1", price="47000")
        await reaches(kernel, await kernel.place_order(lower), "Open")
        await venue.fill_all(*[order["clientOrderId"] for order in await venue.orders()])  # the last of them at 47000
        await the_sell(venue, lambda one: one["type"] == "MARKET")
        await reaches(kernel, entry, "Filled")
        first, *others = await attempts_of(kernel, stop)
        assert (str(first.stage), first.refusal, first.type) == ("Refused", "TriggerPassed", None)
        assert others
        assert all(one.type == "Market" for one in others)


async def test_a_halt_between_my_entry_and_my_stop_ends_with_a_stop(tmp_path: Path) -> None:
    async with a_desk(tmp_path) as (kernel, venue):
        _, stop = await entry_rests(kernel, venue, bought())
        await venue.change(status="HALT")
        await fill(venue)
        await conditions(kernel, ("Protected", "False", "MarketHalted"), ("Ready", "False", "MarketHalted"))
        await venue.change(status="TRADING")
        await reaches(kernel, stop, "Open")
        await conditions(kernel, ("Protected", "True", "StopWorking"), ("Ready", "True", "Working"), ("Stalled", "False", "Progressing"))


@pytest.mark.parametrize("changes", [{"tick": "0.5"}, {"step": "0.001", "minQuantity": "0.001"}], ids=["tick", "step"])
async def test_the_filter_changed_between_my_entry_and_my_stop_and_the_stop_is_there(tmp_path: Path, changes: dict[str, str]) -> None:
    async with a_desk(tmp_path) as (kernel, venue):
        _, stop = await entry_rests(kernel, venue, bought(quantity="0.12345"))
        await venue.change(**changes)
        await fill(venue)
        await reaches(kernel, stop, "Open")
        placed = await the_sell(venue, lambda one: one["status"] == "NEW")
        assert Decimal(placed["stopPrice"]) % Decimal(changes.get("tick", "0.01")) == 0
        assert Decimal(placed["origQty"]) % Decimal(changes.get("step", "0.00001")) == 0


async def test_the_fee_was_taken_in_what_i_bought_and_the_stop_is_for_what_arrived(tmp_path: Path) -> None:
    settings = Settings(market_maker=False, weight_limit=10_000_000, balances={"BTC": Decimal(0)})
    async with serve(SimulatedExchange(settings)) as served, aiohttp.ClientSession() as http:
        venue = Control(served, http)
        kernel = LocalKernel("binance", venue.adapter, tmp_path / "orders.db", acknowledge_timeout=1)
        await kernel.start()
        try:
            _, stop = await entry_rests(kernel, venue, bought(quantity="0.01"))
            await fill(venue)
            await reaches(kernel, stop, "Open")
            placed = await the_sell(venue, lambda one: one["status"] == "NEW")
            assert Decimal(placed["origQty"]) == Decimal("0.00999")
            await conditions(kernel, ("Protected", "True", "StopWorking"), ("Ready", "True", "Working"), ("Stalled", "False", "Progressing"))
        finally:
            await kernel.stop()
