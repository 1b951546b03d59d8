"""Sweeps, orders that no intent explains, and fills that come when nobody follows their order any more: told in virtual time (rules 11, 12; H16, H20)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import ExchangeOrder, Listing, OrderStatus, Trade, Unreachable
from exchange_kernel.core.identity import order_id
from exchange_kernel.exchanges.port import Gap, OrderUpdate
from exchange_kernel.stores.port import Snapshot, Unavailable
from tests.builders import a_market, a_report, a_spec
from tests.scripted import OWNER, a_world, until
from tests.virtual_time import run


def story(tell):
    async def whole():
        async with a_world() as world:
            await world.start()
            await tell(world)

    run(whole())


def status(world):
    return world.accounts.record.status


def condition(world, kind: str):
    return next(condition for condition in status(world).conditions if condition.type == kind)


def put(world, client_order_id: str, number: str = "777") -> ExchangeOrder:
    world.exchange.trades_of[number] = []
    return world.exchange._set(a_report(client_order_id=client_order_id, exchange_order_id=number, created_time_ms=world.exchange.now_ms()), tell=False)


STRAY = order_id(OWNER, uid="nobody", attempt=1)


def policy(world, **spec):
    record = world.accounts.record
    world.accounts.record = replace(record, spec=type(record.spec).model_validate({**record.spec.document(), **spec}))
    world.desk.account_keys.wake(record.uid)


async def open_order(world, uid: str = "a", **spec) -> str:
    world.store.create(uid, a_spec(**spec))
    await until(lambda: world.status(uid).state is OrderState.OPEN)
    return world.status(uid).client_order_id


# ── Orphans and others' orders ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 12")
def test_an_order_that_no_intent_explains_is_shown_and_left_alone():
    async def tell(world):
        put(world, STRAY)
        await until(lambda: status(world).orphan_orders == 1)
        assert (condition(world, "OrphanOrders").status, condition(world, "OrphanOrders").reason) == ("True", "NoIntent")
        await asyncio.sleep(60)
        assert not world.exchange.orders_by_id["777"].status.ended
        world.exchange._set(replace(world.exchange.orders_by_id["777"], status=OrderStatus.CANCELED), tell=False)
        await until(lambda: status(world).orphan_orders == 0)
        assert condition(world, "OrphanOrders").status == "False"

    story(tell)


@pytest.mark.proves("rule 12", "F17", "F36")
def test_with_orphan_policy_cancel_it_is_cancelled_after_the_second_sweep_and_others_orders_are_not():
    async def tell(world):
        policy(world, orphanPolicy="Cancel")
        await open_order(world)
        put(world, STRAY)
        put(world, "web_1", "778")
        await until(lambda: world.exchange.orders_by_id["777"].status.ended)
        assert world.exchange.calls.count("cancel") == 1
        await until(lambda: status(world).external_orders == 1 and status(world).orphan_orders == 0)
        await asyncio.sleep(60)
        assert [order.status for order in world.exchange.orders_by_id.values()].count(OrderStatus.OPEN) == 2

    story(tell)


@pytest.mark.proves("rule 12", "H16")
def test_h16_an_order_whose_sender_died_before_it_wrote_a_word_is_no_orphan():
    async def tell(world):
        policy(world, orphanPolicy="Cancel")
        world.exchange.hold_reply = asyncio.Event()
        world.store.create("a", a_spec())
        await until(lambda: world.exchange.orders_by_id)
        await world.crash()
        world.exchange.hold_reply = None
        await world.start()
        await asyncio.sleep(60)
        assert [order.status for order in world.exchange.orders_by_id.values()] == [OrderStatus.OPEN]
        assert status(world).orphan_orders == 0

    story(tell)


@pytest.mark.proves("rule 12", "H16", "F39")
@pytest.mark.parametrize("lack", ["the venue's list is truncated", "an intent can't be read", "the intents can't be listed"])
def test_an_incomplete_reading_proves_nothing(lack):
    async def tell(world):
        policy(world, orphanPolicy="Cancel")
        listed, intents = world.exchange.open_orders, world.desk.session.store.list_all

        async def truncated(symbol=None):
            return Listing((await listed()).items, complete=False)

        async def partial(namespace):
            return Unavailable("HTTP 500") if lack == "the intents can't be listed" else replace(await intents(namespace), complete=False)

        if lack == "the venue's list is truncated":
            world.exchange.open_orders = truncated
        else:
            world.desk.session.store.list_all = partial
        put(world, STRAY)
        await asyncio.sleep(60)
        assert world.exchange.calls.count("cancel") == 0
        assert not status(world).orphan_orders
        assert isinstance(await intents("default"), Snapshot)

    story(tell)


# ── Fills that come too late for their intent (H20) ─────────────────────────────────────────────────────────────────────────────────────────

async def let_go(world, *, gone: bool, filled: str = "0.3") -> str:
    """An order that was cancelled, settled and let go, with the object kept or gone."""
    client_order_id = await open_order(world)
    world.exchange.fill(client_order_id, filled)
    await until(lambda: world.status("a").filled_quantity == Decimal(filled))
    world.store.edit("a", a_spec(desiredState="Canceled"))
    await until(lambda: world.status("a").completion_time is not None and not world.store.get("a").finalizer)
    if gone:
        world.store.delete("a")
    await asyncio.sleep(0.1)
    return client_order_id


def late(world, quantity: str, trade_id: str | None, times: int = 1) -> None:
    """The venue tells of an execution of an order that it had called ended."""
    (order,) = world.exchange.orders_by_id.values()
    order = replace(order, filled_quantity=order.filled_quantity + Decimal(quantity), update_time_ms=world.exchange.now_ms())
    world.exchange.orders_by_id[order.exchange_order_id] = order
    trade = Trade(trade_id, order.symbol, order.exchange_order_id, Decimal(quantity), order.price, world.exchange.now_ms()) if trade_id is not None else None
    for _ in range(times):
        for stream in world.exchange._streams:
            stream.put_nowait(OrderUpdate(order, trade))


@pytest.mark.proves("rule 11", "H20")
@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "after a restart"])
@pytest.mark.parametrize("gone", [False, True], ids=["the object is kept", "the object is gone"])
def test_h20_a_fill_after_the_end_is_counted_once(gone, restarted):
    async def tell(world):
        await let_go(world, gone=gone)
        if restarted:
            await world.crash()
            await world.start()
        late(world, "0.1", "L1", times=3)
        await until(lambda: status(world).unattributed_fills == 1)
        late(world, "0.2", "L2")
        await until(lambda: status(world).unattributed_fills == 2)
        await asyncio.sleep(30)
        assert status(world).unattributed_fills == 2
        if not gone:
            assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.CANCELED, Decimal("0.3")), "an end does not move"

    story(tell)


def test_what_was_told_before_the_end_is_not_counted_when_it_is_told_again():
    async def tell(world):
        await let_go(world, gone=True)
        (order,) = world.exchange.orders_by_id.values()
        (trade,) = world.exchange.trades_of[order.exchange_order_id]
        for stream in world.exchange._streams:
            stream.put_nowait(OrderUpdate(order, trade))
        await asyncio.sleep(30)
        assert status(world).unattributed_fills == 0

    story(tell)


def test_a_total_that_grew_without_a_trade_id_counts_as_one_and_the_count_outlives_the_process():
    async def tell(world):
        await let_go(world, gone=True)
        late(world, "0.1", None)
        await until(lambda: status(world).unattributed_fills == 1)
        await world.crash()
        await world.start()
        late(world, "0.1", "L2")
        await until(lambda: status(world).unattributed_fills == 2)

    story(tell)


def test_a_fill_of_an_order_that_was_left_behind_is_counted():
    async def tell(world):
        client_order_id = await open_order(world, deletionPolicy="Orphan")
        world.store.delete("a")
        await until(lambda: world.store.get("a") is None)
        await until(lambda: status(world).orphan_orders == 1)
        world.exchange.fill(client_order_id, "0.5")
        await until(lambda: status(world).unattributed_fills == 1)
        world.exchange.fill(client_order_id, "0.5", tell=False)
        await asyncio.sleep(30)
        assert status(world).unattributed_fills == 1, "a full order is in no list of open ones, and the stream said nothing"

    story(tell)


def test_a_fill_of_an_unfinished_order_is_its_intents_whenever_it_comes():
    async def tell(world):
        client_order_id = await open_order(world)
        await world.crash()
        world.exchange._streams.clear()
        world.boot()
        await until(lambda: world.exchange._streams)
        world.exchange.fill(client_order_id, "0.5")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.5"))
        assert not status(world).unattributed_fills

    story(tell)


def test_what_the_stream_tells_before_the_first_sweep_waits_for_it():
    """The cache of intents may be behind at a start: it is no proof that no intent explains an order."""

    async def tell(world):
        client_order_id = await open_order(world)
        await world.crash()
        cached, world.store.of_account = world.store.of_account, lambda namespace, account: []
        listed, held = world.exchange.open_orders, asyncio.Event()

        async def slow(symbol=None):
            await held.wait()
            return await listed()

        world.exchange.open_orders = slow
        world.exchange._streams.clear()
        world.boot()
        await until(lambda: world.exchange._streams)
        world.exchange.fill(client_order_id, "1")
        await asyncio.sleep(1)
        world.store.of_account = cached
        held.set()
        await until(lambda: world.status("a").completion_time is not None)
        assert (world.status("a").state, status(world).unattributed_fills) == (OrderState.FILLED, 0)

    story(tell)


# ── When it sweeps ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 12", "F30")
def test_it_sweeps_at_start_then_with_jitter_and_at_once_after_a_gap():
    async def tell(world):
        policy(world, resyncSeconds=60)
        count = lambda: world.exchange.calls.count("open_orders")  # noqa: E731
        assert count() >= 1, "at start"
        await asyncio.sleep(10)
        before = count()
        await asyncio.sleep(300)
        assert 4 <= count() - before <= 6
        await asyncio.sleep(5)
        before = count()
        for stream in world.exchange._streams:
            stream.put_nowait(Gap.DISCONNECTED)
            stream.put_nowait(Gap.SUBSCRIBED)
        await asyncio.sleep(0.5)
        assert 1 <= count() - before <= 2, "single flight: two gaps at once are one sweep or two, never more"

    story(tell)


def test_accounts_do_not_sweep_in_step():
    async def tell(world):
        policy(world, resyncSeconds=100)
        sweeper, account, dues = world.desk.session.sweeper, world.accounts.record, set()
        for uid in ("0000-a", "0063-b", "00c7-c"):
            world.desk.session.account = replace(world.accounts.record, uid=uid)
            await sweeper.sweep()
            dues.add(round(sweeper._due - asyncio.get_running_loop().time()))
        world.desk.session.account = account
        assert dues == {90, 100, 110}

    story(tell)


@pytest.mark.proves("F33")
def test_a_list_that_was_read_before_a_cancel_does_not_bring_its_order_back():
    async def tell(world):
        client_order_id = await open_order(world)
        listed, held, asked = world.exchange.open_orders, asyncio.Event(), asyncio.Event()

        async def slow(symbol=None):
            answer = await listed()
            asked.set()
            await held.wait()
            return answer

        world.exchange.open_orders = slow
        await asked.wait()
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await until(lambda: world.exchange.named(client_order_id)[0].status.ended)
        held.set()
        await until(lambda: world.status("a").completion_time is not None)
        assert world.status("a").state is OrderState.CANCELED

    story(tell)


@pytest.mark.proves("F33")
def test_a_list_that_was_read_before_an_order_was_sent_says_nothing_about_it():
    async def tell(world):
        listed, held, asked = world.exchange.open_orders, asyncio.Event(), asyncio.Event()

        async def slow(symbol=None):
            answer = await listed()
            asked.set()
            await held.wait()
            return answer

        world.exchange.open_orders = slow
        await asked.wait()
        await open_order(world)
        before = world.exchange.calls.count("lookup")
        held.set()
        await asyncio.sleep(1)
        assert world.exchange.calls.count("lookup") == before, "it is not missing from a list that is older than it"

    story(tell)


def test_an_idle_account_costs_no_writes():
    async def tell(world):
        for number in range(20):
            await open_order(world, f"i{number}")
        put(world, "web_1", "778")
        await until(lambda: status(world).open_intents == 20 and status(world).external_orders == 1)
        before = world.accounts.writes
        await asyncio.sleep(300)
        assert world.accounts.writes == before

    story(tell)


def test_a_market_that_changes_is_followed_with_the_next_sweep():
    async def tell(world):
        async def closed(*, reload=False):
            return {"BTC/USDT": a_market(active=False)}

        world.exchange.markets = closed
        await world.desk.session.sweeper.sweep()
        world.store.create("a", a_spec())
        await until(lambda: any(one.reason == "MarketHalted" for one in world.status("a").conditions))
        await until(lambda: world.status("a").state is OrderState.DENIED, within=310)
        assert world.exchange.calls.count("submit") == 0

    story(tell)


def test_markets_that_can_not_be_read_stay_as_they_were():
    async def tell(world):
        async def silent(*, reload=False):
            return Unreachable("silent")

        world.exchange.markets = silent
        await world.desk.session.sweeper.sweep()
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)

    story(tell)
