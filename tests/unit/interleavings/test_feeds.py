"""What is read of the exchange, and what may be concluded from it when it is late, short, broken or contradicts itself."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState
from exchange_kernel.core.answers import Listing, NotFound, Unknown
from exchange_kernel.exchanges.port import Gap
from tests.builders import a_spec
from tests.scripted import until
from tests.unit.interleavings.stories import condition, finished, live, open_order, orders_per_id, story, the_id

QUIET = {"resyncSeconds": 600}


def never_arrives(world) -> None:
    """The next submit is lost on its way, and nothing of it is known. Those after it arrive."""
    submit = world.exchange.submit

    async def lost(request, clearance):
        world.exchange.calls.append("lost submit")
        await world.exchange.cleared(clearance)
        world.exchange.submit = submit
        return Unknown("no answer in time")

    world.exchange.submit = lost


@pytest.mark.proves("rule 12", "F30")
def test_what_was_lost_in_a_gap_of_the_stream_is_read_when_it_is_back():
    """Disconnected, filled, subscribed again; the next regular sweep is ten minutes away."""

    async def tell(world):
        client_order_id = await open_order(world)
        await asyncio.sleep(10)
        world.exchange.fill(client_order_id, "0.4", tell=False)
        for fact in (Gap.DISCONNECTED, Gap.SUBSCRIBED):
            for stream in world.exchange._streams:
                stream.put_nowait(fact)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.4"), within=5)

    story(tell, account=QUIET)


@pytest.mark.proves("rule 12", "F31")
def test_a_stream_that_says_nothing_and_looks_alive_costs_no_fill():
    """Three orders fill in parts over five minutes, and the stream is silent all the while."""

    async def tell(world):
        for uid in ("a", "b", "c"):
            await open_order(world, uid)
        for _ in range(5):
            for uid in ("a", "b", "c"):
                world.exchange.fill(the_id(uid=uid), "0.2", tell=False)
            await asyncio.sleep(60)
        for uid in ("a", "b", "c"):
            status = await finished(world, uid)
            assert (status.state, status.filled_quantity, any(fill.inferred for fill in status.fills)) == (OrderState.FILLED, 1, False)

    story(tell, account={"resyncSeconds": 30})


@pytest.mark.proves("rule 5", "rule 12", "F38", "F39")
@pytest.mark.parametrize("which", ["open_orders", "orders", "trades"])
def test_a_pass_with_one_listing_that_is_short_or_unreadable_in_part_proves_nothing(which):
    """The send was lost, and for ten minutes one of the lists is not whole. Then it is, and the order is proved absent and sent."""

    async def tell(world):
        whole = getattr(world.exchange, which)

        async def not_whole(*arguments, **named):
            return Listing((await whole(*arguments, **named)).items, complete=False)

        never_arrives(world)
        setattr(world.exchange, which, not_whole)
        world.store.create("a", a_spec(submitDeadlineSeconds=0))
        await asyncio.sleep(600)
        assert world.status("a").state is OrderState.UNKNOWN
        assert "submit" not in world.exchange.calls
        setattr(world.exchange, which, whole)
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert orders_per_id(world) == {1}

    story(tell)


@pytest.mark.proves("rule 12", "F39")
def test_a_truncated_list_of_open_orders_takes_nothing_for_gone():
    """The list says nothing of an order, and says that it is not whole: the order is asked for by its id, for its fills' sake, and nothing changes."""

    async def tell(world):
        await open_order(world)
        await asyncio.sleep(10)
        world.exchange.calls.clear()

        async def truncated(symbol=None):
            return Listing((), complete=False)

        world.exchange.open_orders = truncated
        for _ in range(60):
            await asyncio.sleep(1)
            assert world.desk.session.memory.missing(world.accounts.record.uid) == 0
        assert world.status("a").state is OrderState.OPEN
        assert "lookup" in world.exchange.calls

    story(tell)


@pytest.mark.proves("rule 12", "H8")
def test_missing_from_a_complete_list_is_a_question_and_no_answer():
    """A list without the order, though it is open: it is asked for by its id, and what that says counts."""

    async def tell(world):
        await open_order(world)
        listed = world.exchange.open_orders

        async def without_it(symbol=None):
            return Listing((), complete=True)

        world.exchange.open_orders = without_it
        world.exchange.calls.clear()
        await until(lambda: "lookup" in world.exchange.calls)
        await asyncio.sleep(30)
        assert world.status("a").state is OrderState.OPEN
        world.exchange.open_orders = listed

    story(tell)


@pytest.mark.proves("rule 5", "H8")
def test_an_order_that_fills_between_two_lists_is_found_by_its_trade():
    """It is in no list and by-id lags, so only its trade is there: that is enough to forbid the proof, and it is found in time."""

    async def tell(world):
        exchange = world.exchange
        exchange.fills_at_once, exchange.reply = True, lambda order: Unknown("no answer in time")
        lookup, orders, hidden_until = exchange.lookup, exchange.orders, exchange.now_ms() + 60_000

        async def lagging_lookup(ref):
            return NotFound() if exchange.now_ms() < hidden_until else await lookup(ref)

        async def lagging_orders(symbol, since_ms):
            return Listing((), complete=True) if exchange.now_ms() < hidden_until else await orders(symbol, since_ms)

        exchange.lookup, exchange.orders = lagging_lookup, lagging_orders
        world.store.create("a", a_spec(type="Market", price=None))
        await asyncio.sleep(50)
        assert world.status("a").state is OrderState.UNKNOWN
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, 1)
        assert orders_per_id(world) == {1}

    story(tell)


@pytest.mark.proves("F34")
def test_trades_that_do_not_add_up_at_a_start_cost_no_order():
    """Half of it is filled and recorded. At the restart the venue lists no trades at all: the order works on, with its fills."""

    async def tell(world):
        client_order_id = await open_order(world)
        world.exchange.fill(client_order_id, "0.5")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.5"))
        await world.crash()
        world.exchange.trades_lag_ms = 3_600_000
        await world.start()
        await asyncio.sleep(120)
        status = world.status("a")
        assert (status.state, status.filled_quantity, condition(world, "Ready").status) == (OrderState.PARTIALLY_FILLED, Decimal("0.5"), "True")
        assert [order.client_order_id for order in live(world)] == [client_order_id]

    story(tell)


@pytest.mark.proves("rule 5", "H10", "F35")
def test_down_for_longer_than_the_venue_remembers():
    """Killed in a send; the order fills, and the venue has forgotten it when the operator is back. Nothing is guessed, and a person's word is the end."""

    async def tell(world):
        exchange = world.exchange
        exchange.hold_reply = asyncio.Event()
        world.store.create("a", a_spec(submitDeadlineSeconds=60))
        await until(lambda: exchange.orders_by_id)
        await world.crash()
        exchange.hold_reply = None
        exchange.orders_by_id.clear()
        exchange.trades_of.clear()
        await asyncio.sleep(3600)
        await world.start()
        await until(lambda: world.status("a").conditions and condition(world, "Stalled").status == "True")
        await asyncio.sleep(600)
        assert world.status("a").state is OrderState.UNKNOWN
        assert (exchange.calls.count("submit"), world.status("a").completion_time) == (1, None)
        world.store.annotate("a", json.dumps({"clientOrderId": the_id(), "outcome": "Filled", "filledQuantity": "1", "averagePrice": "50000"}))
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, 1)

    story(tell, retention_ms=1_800_000)
