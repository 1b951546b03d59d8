"""An account whose list of open orders is never whole trades all the same; what needs a whole list waits for one (rules 12, 14). Told in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import Listing, NotFound, OrderStatus, Unknown, Unreachable, Unread
from exchange_kernel.core.identity import order_id
from tests.builders import a_report, a_spec
from tests.scripted import OWNER, a_world, until
from tests.unit.interleavings.stories import finished, open_order, orders_per_id, the_id
from tests.virtual_time import run

STRAY = order_id(OWNER, uid="nobody", attempt=1)
CUT = "the exchange has more open orders than it lists"


def story(tell):
    async def whole():
        async with a_world() as world:
            await tell(world)

    run(whole())


def cut_off(world, keep: int = 0, lack: str = CUT):
    """The list of open orders never goes further than its first `keep` orders. Undone by what is returned."""
    listed, orders = world.exchange.open_orders, world.exchange.orders

    async def truncated(symbol=None):
        answer = await listed(symbol)
        return answer if isinstance(answer, Unreachable) else Listing(answer.items[:keep], False, lack=lack)

    async def some(symbol, since_ms):
        answer = await orders(symbol, since_ms)
        return answer if isinstance(answer, Unreachable) else Listing(answer.items[:keep], False)

    world.exchange.open_orders, world.exchange.orders = truncated, some

    def whole() -> None:
        world.exchange.open_orders, world.exchange.orders = listed, orders

    return whole


def put(world, client_order_id: str, number: str = "777"):
    world.exchange.trades_of[number] = []
    return world.exchange._set(a_report(client_order_id=client_order_id, exchange_order_id=number, created_time_ms=world.exchange.now_ms()), tell=False)


def policy(world, **spec):
    record = world.accounts.record
    world.accounts.record = replace(record, spec=type(record.spec).model_validate({**record.spec.document(), **spec}))


def condition(world, kind: str):
    return next((one for one in world.accounts.record.status.conditions if one.type == kind), None)


def says(world, kind: str) -> tuple[str, str] | None:
    found = condition(world, kind)
    return None if found is None else (str(found.status), found.reason)


# ── A list that is cut off for ever ─────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 12", "rule 14")
def test_a_list_that_is_cut_off_for_ever_does_not_keep_the_account_from_trading():
    async def tell(world):
        cut_off(world)
        await world.start()
        await until(lambda: says(world, "Synced") == ("False", "ListIncomplete"))
        assert says(world, "Ready") == ("True", "Ready")
        assert "open orders" in condition(world, "Synced").message
        assert CUT in condition(world, "Synced").message
        assert says(world, "Connected") == ("True", "Connected")
        order = await open_order(world)
        world.exchange.fill(order, "1")
        assert (await finished(world)).state is OrderState.FILLED

    story(tell)


@pytest.mark.proves("rule 8")
def test_a_fill_that_no_stream_tells_is_found_by_id_while_the_list_is_cut_off():
    async def tell(world):
        cut_off(world)
        await world.start()
        order = await open_order(world)
        await asyncio.sleep(30)
        world.exchange.fill(order, "0.4", tell=False)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.4"), within=15)
        world.exchange.fill(order, "0.6", tell=False)
        assert (await finished(world, within=30)).state is OrderState.FILLED

    story(tell)


@pytest.mark.proves("rule 9")
def test_a_cancel_leaves_while_the_list_is_cut_off_and_its_look_ups_hang():
    async def tell(world):
        cut_off(world)
        await world.start()
        order = await open_order(world)

        async def hangs(ref):
            await asyncio.sleep(3600)
            return NotFound()

        world.exchange.lookup = hangs
        await asyncio.sleep(60)
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await until(lambda: world.exchange.named(order)[0].status is OrderStatus.CANCELED, within=5)
        sweeps = world.exchange.calls.count("open_orders")
        await asyncio.sleep(60)
        assert world.exchange.calls.count("open_orders") > sweeps, "the list is read on"

    story(tell)


@pytest.mark.proves("rule 12")
def test_nothing_is_missing_or_an_orphan_by_a_list_that_is_cut_off():
    async def tell(world):
        policy(world, orphanPolicy="Cancel")
        put(world, STRAY)
        cut_off(world, keep=1)
        await world.start()
        await open_order(world)
        for _ in range(30):
            await asyncio.sleep(2)
            assert world.desk.session.memory.missing(world.accounts.record.uid) == 0
        assert world.exchange.calls.count("cancel") == 0
        assert not world.accounts.record.status.orphan_orders
        assert says(world, "OrphanOrders") == ("Unknown", "ListIncomplete")

    story(tell)


@pytest.mark.proves("rule 5")
def test_no_absence_is_proved_by_a_list_that_is_cut_off():
    async def tell(world):
        undo = cut_off(world)
        await world.start()
        submit = world.exchange.submit

        async def lost(request, clearance):
            world.exchange.calls.append("submit")
            clearance.check(clearance.stamp())
            return Unknown("the connection was lost before the answer")

        world.exchange.submit = lost
        world.store.create("a", a_spec(submitDeadlineSeconds=0))
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        world.exchange.submit = submit
        await asyncio.sleep(120)
        assert world.status("a").state is OrderState.UNKNOWN
        assert not world.exchange.orders_by_id, "what may be on the part that is not shown is not sent again"
        undo()
        await until(lambda: world.status("a").state is OrderState.OPEN, within=120)
        assert orders_per_id(world) == {1}

    story(tell)


def test_a_list_that_is_cut_off_is_not_asked_for_every_two_seconds_for_ever():
    async def tell(world):
        policy(world, resyncSeconds=60)
        cut_off(world)
        await world.start()
        for number in range(10):
            await open_order(world, f"i{number}")
        await asyncio.sleep(300)
        lists, lookups, writes = world.exchange.calls.count("open_orders"), world.exchange.calls.count("lookup"), world.accounts.writes
        await asyncio.sleep(3600)
        assert 55 <= world.exchange.calls.count("open_orders") - lists <= 75
        assert world.exchange.calls.count("lookup") - lookups <= 10 * 75, "one question for each order and reading"
        assert world.accounts.writes == writes

    story(tell)


# ── Unreadable, and whole again ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_list_that_can_not_be_read_keeps_the_account_from_trading_and_says_so():
    async def tell(world):
        async def garbage(symbol=None):
            return Unreachable("the venue's answer can't be read", answered=True)

        listed, world.exchange.open_orders = world.exchange.open_orders, garbage
        world.boot()
        await until(lambda: says(world, "Ready") == ("False", "ListNotReadable"))
        assert "can't be read" in condition(world, "Ready").message
        world.store.create("a", a_spec())
        await asyncio.sleep(60)
        assert world.exchange.calls.count("submit") == 0
        world.exchange.open_orders = listed
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert says(world, "Synced") == ("True", "Swept")

    story(tell)


@pytest.mark.proves("rule 8")
def test_a_list_that_can_not_be_read_any_more_hides_no_fill_while_its_order_can():
    async def tell(world):
        await world.start()
        order = await open_order(world)

        async def garbage(symbol=None):
            return Unreachable("the venue's answer can't be read", answered=True)

        world.exchange.open_orders = garbage
        await asyncio.sleep(60)
        assert (says(world, "Ready"), says(world, "Synced")) == (("True", "Ready"), ("False", "ListNotReadable"))
        world.exchange.fill(order, "1", tell=False)
        assert (await finished(world, within=20)).state is OrderState.FILLED

    story(tell)


def test_an_exchange_that_fails_in_another_way_each_time_does_not_have_the_account_written_each_time():
    async def tell(world):
        await world.start()
        number = 0

        async def fails(symbol=None):
            nonlocal number
            number += 1
            return Unreachable("no answer came in time" if number % 2 else "the venue's answer can't be read")

        world.exchange.open_orders = fails
        await asyncio.sleep(10)
        before = world.accounts.writes
        await asyncio.sleep(600)
        assert world.accounts.writes - before <= 10 * 10

    story(tell)


def test_an_exchange_that_answers_nothing_is_not_asked_for_each_of_many_orders():
    async def tell(world):
        await world.start()
        for number in range(50):
            await open_order(world, f"i{number}")
        world.exchange.calls.clear()
        world.exchange.reachable = False
        await asyncio.sleep(60)
        assert world.exchange.calls.count("lookup") <= 5 * 8

    story(tell)


@pytest.mark.proves("rule 12")
def test_once_the_list_is_whole_orphans_and_others_are_counted_again():
    async def tell(world):
        put(world, STRAY)
        put(world, "web_1", "778")
        undo = cut_off(world)
        await world.start()
        order = await open_order(world)
        await asyncio.sleep(30)
        undo()
        await until(lambda: says(world, "Synced") == ("True", "Swept"))
        await until(lambda: (world.accounts.record.status.orphan_orders, world.accounts.record.status.external_orders) == (1, 1))
        assert says(world, "OrphanOrders") == ("True", "NoIntent")
        world.exchange.fill(order, "1", tell=False)
        assert (await finished(world)).state is OrderState.FILLED

    story(tell)


# ── A restart ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 3", "H16")
def test_a_restart_with_an_order_that_no_status_tells_of_finds_it_behind_the_cut_and_sends_it_once():
    async def tell(world):
        await world.start()
        world.exchange.hold_reply = asyncio.Event()
        world.store.create("a", a_spec())
        await until(lambda: world.exchange.orders_by_id)
        await world.crash()
        world.exchange.hold_reply = None
        cut_off(world)
        await world.start()
        await until(lambda: world.status("a").state is OrderState.OPEN, within=30)
        await asyncio.sleep(60)
        assert orders_per_id(world) == {1}
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.proves("rule 8")
def test_a_restart_under_a_cut_list_finds_what_filled_while_nobody_ran():
    async def tell(world):
        await world.start()
        orders = [await open_order(world, uid) for uid in ("a", "b")]
        await world.crash()
        world.exchange.fill(orders[0], "1", tell=False)
        cut_off(world)
        await world.start()
        assert (await finished(world)).state is OrderState.FILLED
        world.exchange.fill(orders[1], "0.5", tell=False)
        await until(lambda: world.status("b").filled_quantity == Decimal("0.5"), within=30)

    story(tell)


def test_what_the_stream_tells_before_the_first_list_is_not_kept_waiting_for_a_whole_one():
    async def tell(world):
        await world.start()
        order = await open_order(world)
        await world.crash()
        cached, world.store.of_account = world.store.of_account, lambda namespace, account: []
        undo = cut_off(world)
        cut, held = world.exchange.open_orders, asyncio.Event()

        async def slow(symbol=None):
            await held.wait()
            return await cut(symbol)

        world.exchange.open_orders = slow
        world.exchange._streams.clear()
        world.boot()
        await until(lambda: world.exchange._streams)
        world.exchange.fill(order, "1")
        await asyncio.sleep(1)
        world.store.of_account = cached
        held.set()
        assert (await finished(world)).state is OrderState.FILLED
        assert not world.accounts.record.status.unattributed_fills
        undo()

    story(tell)


# ── Entries that can't be read ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

def with_unread(world, *unread: Unread, lack: str = ""):
    listed = world.exchange.open_orders

    async def partly(symbol=None):
        answer = await listed(symbol)
        return answer if isinstance(answer, Unreachable) else Listing(answer.items, False, unread, lack)

    world.exchange.open_orders = partly


@pytest.mark.proves("rule 12", "rule 14")
def test_an_order_of_somebody_else_that_can_not_be_read_is_counted_and_nothing_waits_for_it():
    async def tell(world):
        with_unread(world, Unread(frozenset({"web_1", "BTC-USDT-SWAP"})), Unread(frozenset({"live"})))
        put(world, "web_2", "778")
        await world.start()
        await until(lambda: says(world, "Synced") == ("True", "Swept"))
        await until(lambda: world.accounts.record.status.external_orders == 3)
        await open_order(world)

    story(tell)


@pytest.mark.proves("rule 12")
@pytest.mark.parametrize(("unread", "why"), [
    (Unread(frozenset({the_id(), "live"})), "it carries an id of this installation"),
    (Unread(None), "its id can't be read either"),
], ids=["ours", "nobody's"])
def test_an_entry_that_may_be_ours_and_can_not_be_read_keeps_the_list_incomplete(unread, why):
    async def tell(world):
        with_unread(world, Unread(frozenset({"web_1"})), unread)
        await world.start()
        await until(lambda: says(world, "Synced") == ("False", "ListIncomplete"))
        assert says(world, "Ready") == ("True", "Ready"), why
        assert world.accounts.record.status.external_orders is None, "an incomplete list is not counted"

    story(tell)


def test_a_cut_list_is_cut_whatever_else_is_on_it():
    async def tell(world):
        with_unread(world, Unread(frozenset({"web_1"})), lack=CUT)
        await world.start()
        await until(lambda: says(world, "Synced") == ("False", "ListIncomplete"))

    story(tell)
