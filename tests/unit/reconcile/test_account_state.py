"""What an account holds, as its object tells it: one consistent reading, on change, and not often."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AccountStateStatus, OrderState
from exchange_kernel.core.answers import Balance, OrderStatus, Position
from exchange_kernel.reconcile.account_state import AccountStatePublisher, positions
from exchange_kernel.reconcile.holdings import Held
from tests.builders import a_market, a_report, a_spec
from tests.scripted import World, until
from tests.unit.interleavings.stories import finished, open_order, story

PERPETUAL = a_market(symbol="BTC/USDT:USDT", contract_size=Decimal("0.001"))


class States:
    def __init__(self) -> None:
        self.status, self.writes, self.token = AccountStateStatus(), [], None

    async def current(self, account):
        return self.status

    def asked(self, account):
        return self.token

    async def write(self, account, old, new):
        assert old == self.status
        self.status = new
        self.writes.append(asyncio.get_running_loop().time())
        return True


async def published(world: World) -> States:
    store, session = States(), world.desk.session
    session.holdings.published = True
    session.track(AccountStatePublisher(session, store).keep(session.term))
    await until(lambda: store.writes)
    return store


def held(world: World, btc: str) -> None:
    world.exchange.held_balances = [Balance("BTC", Decimal(btc), Decimal(0)), Balance("USDT", Decimal(5), Decimal(1)), Balance("ETH", Decimal(0), Decimal(0))]


def test_what_is_held_is_written_once_and_again_soon_after_a_fill():
    async def tell(world):
        held(world, "1")
        store = await published(world)
        assert [(one.asset, one.free, one.locked) for one in store.status.balances] == [("BTC", 1, 0), ("USDT", 5, 1)]
        await asyncio.sleep(60)
        assert len(store.writes) == 1, "an account that does not change costs no write"
        first = store.status
        order = await open_order(world)
        world.exchange.fill(order, "1")
        held(world, "2")
        filled_ms = world.exchange.now_ms()
        await finished(world)
        await until(lambda: store.status.balances[0].free == 2 and store.status.settled, within=10)
        assert store.status.sequence > first.sequence
        assert store.status.time.timestamp() * 1000 > filled_ms, "the fill is in it, and is older: a reader does not count it again"
        assert store.status.reconciliation.sweeps > first.reconciliation.sweeps

    story(tell)


def test_a_busy_account_is_written_every_five_seconds_at_most():
    async def tell(world):
        held(world, "1")
        store = await published(world)
        began = len(store.writes)
        order = await open_order(world, quantity="100")
        for number in range(60):
            world.exchange.fill(order, "0.5")
            held(world, str(2 + number))
            await asyncio.sleep(0.5)
        assert 4 <= len(store.writes) - began <= 7
        assert not store.status.settled, "fills fell between: a reader can tell that it may not be in step with them"

    story(tell)


def test_what_changes_all_the_time_is_written_every_five_seconds_at_most():
    async def tell(world):
        held(world, "1")
        store = await published(world)
        began = len(store.writes)
        for _ in range(60):
            world.desk.session.counters.unsent += 1
            await asyncio.sleep(0.5)
        assert 4 <= len(store.writes) - began <= 7

    story(tell)


def test_a_reading_that_fails_leaves_the_last_one_and_unknown_orders_are_told():
    async def tell(world):
        held(world, "1")
        store = await published(world)
        world.exchange.reachable = False
        world.store.create("lost", a_spec())
        await until(lambda: store.status.reconciliation.unknown_orders == 1, within=30)
        assert store.status.balances[0].free == 1
        assert store.status.reconciliation.oldest_unknown_time is not None
        assert store.status.reconciliation.failed_sends == 1

    story(tell)


# ── What is asked for ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_who_asks_is_answered_by_one_reading_with_all_that_follows_from_it_written_and_by_one_write():
    async def tell(world):
        held(world, "1")
        store = await published(world)
        order = await open_order(world)
        await asyncio.sleep(10)
        sweeps, writes = world.desk.session.counters.sweeps, len(store.writes)
        world.exchange.fill(order, "1", tell=False)
        held(world, "2")
        store.token = "t1"
        await until(lambda: store.status.reconciled_token == "t1", within=2)
        assert world.status("a").filled_quantity == 1
        assert store.status.balances[0].free == 2, "what the account holds is read anew too"
        assert (world.desk.session.counters.sweeps - sweeps, len(store.writes) - writes) == (1, 1)
        await asyncio.sleep(20)
        assert len(store.writes) - writes <= 2, "an answer is given once; a fill that has come to rest may be told once more"

    story(tell, account={"resyncSeconds": 600})


def test_the_answer_waits_for_the_orders_that_the_reading_woke():
    async def tell(world):
        held(world, "1")
        store = await published(world)
        order = await open_order(world)
        await asyncio.sleep(10)
        lookup = world.exchange.lookup

        async def slowly(ref):
            await asyncio.sleep(2)
            return await lookup(ref)

        world.exchange.lookup = slowly
        (there,) = world.exchange.named(order)
        world.exchange._set(replace(there, status=OrderStatus.CANCELED), tell=False)
        store.token = "t1"
        await until(lambda: store.status.reconciled_token == "t1", within=10)
        assert world.status("a").state is OrderState.CANCELED

    story(tell, account={"resyncSeconds": 600})


def test_all_who_ask_during_a_reading_share_the_next_one():
    async def tell(world):
        held(world, "1")
        store, session = await published(world), world.desk.session
        listed, go = world.exchange.open_orders, asyncio.Event()

        async def slowly(symbol=None):
            await go.wait()
            return await listed(symbol)

        world.exchange.open_orders = slowly
        sweeps = session.counters.sweeps
        for number in range(10):
            store.token = f"t{number}"
            await asyncio.sleep(1)
        go.set()
        await until(lambda: store.status.reconciled_token == "t9", within=5)
        assert session.counters.sweeps - sweeps == 2

    story(tell, account={"resyncSeconds": 600})


def test_nobody_is_answered_before_everything_could_be_read():
    async def tell(world):
        held(world, "1")
        store = await published(world)
        world.exchange.reachable = False
        store.token = "t1"
        await asyncio.sleep(30)
        assert store.status.reconciled_token is None
        world.exchange.reachable = True
        await until(lambda: store.status.reconciled_token == "t1", within=10)

    story(tell)


def test_who_never_stops_asking_gets_a_reading_every_five_seconds():
    async def tell(world):
        held(world, "1")
        store, session = await published(world), world.desk.session
        sweeps = session.counters.sweeps
        for number in range(200):
            store.token = f"t{number}"
            await asyncio.sleep(0.5)
        assert 20 <= session.counters.sweeps - sweeps <= 26

    story(tell, account={"resyncSeconds": 600})


def test_figures_count_what_was_sent_and_what_is_not_ours():
    async def tell(world):
        held(world, "1")
        store = await published(world)
        await open_order(world)
        await open_order(world, "b")
        world.exchange._set(a_report(client_order_id="web_1", exchange_order_id="778", created_time_ms=world.exchange.now_ms()), tell=False)
        store.token = "t1"
        await until(lambda: store.status.reconciled_token == "t1", within=5)
        told = store.status.reconciliation
        assert (told.sends, told.failed_sends, told.checked_orders, told.external_orders) == (2, 0, 2, 1)
        assert told.sweeps > told.failed_sweeps == 0
        assert told.last_sweep_time <= told.time

    story(tell, account={"resyncSeconds": 600})


def a_reading(*balances: Balance, of: tuple[Position, ...] = ()) -> Held:
    return Held(asked_ms=0, answered_ms=0, settled=True, balances=balances, positions=of, filled={})


@pytest.mark.parametrize(("reason", "reading", "want"), [
    ("on spot what is held of the base asset, locked part included", a_reading(Balance("BTC", Decimal(1), Decimal("0.5"))), [("BTC/USDT", "Long", Decimal("1.5"), None)]),
    ("less than the smallest order is dust", a_reading(Balance("BTC", Decimal("0.000001"), Decimal(0))), []),
    ("a market that is closed is not shown", a_reading(Balance("OLD", Decimal(5), Decimal(0))), []),
    ("one position of a market, short", a_reading(of=(Position(PERPETUAL.symbol, "Net", Decimal(-3)),)), [(PERPETUAL.symbol, "Net", Decimal(-3), Decimal("0.001"))]),
    ("two in hedge mode", a_reading(of=(Position(PERPETUAL.symbol, "Short", Decimal(2)), Position(PERPETUAL.symbol, "Long", Decimal(3)))),
     [(PERPETUAL.symbol, "Long", Decimal(3), Decimal("0.001")), (PERPETUAL.symbol, "Short", Decimal(2), Decimal("0.001"))]),
    ("a flat one is none", a_reading(of=(Position(PERPETUAL.symbol, "Net", Decimal(0)),)), []),
])
def test_positions(reason, reading, want):
    markets = [a_market(), a_market(symbol="OLD/USDT", base="OLD", active=False), PERPETUAL]
    assert [(one.symbol, one.side, one.quantity, one.contract_size) for one in positions(reading, markets)] == want
