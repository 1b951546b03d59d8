"""Sends that die, wait, or get no answer: one order each, whatever happens in between."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from exchange_kernel.api import OrderState, TradingMode
from exchange_kernel.core.answers import Accepted, OrderStatus, Refused, Unknown
from exchange_kernel.core.identity import CODECS, encode, order_id
from exchange_kernel.core.venue import OrderRequest
from exchange_kernel.exchanges.ccxt.dialects import DIALECTS
from exchange_kernel.exchanges.port import Closed
from tests.builders import a_spec
from tests.scripted import OWNER, until
from tests.unit.interleavings.stories import condition, finished, open_order, orders_per_id, report, story, the_id, the_order

LIMIT = {"symbol": "BTC/USDT", "side": "Buy", "type": "Limit"}


def kill_switch(world):
    world.accounts.record = replace(world.accounts.record, spec=world.accounts.record.spec.model_copy(update={"trading_mode": TradingMode.CANCEL_ONLY}))


WHILE_AWAY = {
    "deleted": lambda world: world.store.delete("a"),
    "cancelled": lambda world: world.store.edit("a", a_spec(submitDeadlineSeconds=60, desiredState="Canceled")),
    "suspended": lambda world: world.store.edit("a", a_spec(submitDeadlineSeconds=60, suspend=True)),
    "the kill switch is thrown": kill_switch,
    "the deadline passes": lambda world: None,
}


@pytest.mark.proves("rule 3", "H1", "F8")
@pytest.mark.parametrize("filled", ["0.4", "1"], ids=["filled in part", "filled whole"])
@pytest.mark.parametrize("what", WHILE_AWAY)
def test_killed_before_a_word_was_written_and_changed_while_away(what, filled):
    """Sent, killed before the answer; the order fills, its intent is changed, and two minutes pass. Status is empty at the restart."""

    async def tell(world):
        world.exchange.hold_reply = asyncio.Event()
        world.store.create("a", a_spec(submitDeadlineSeconds=60))
        await until(lambda: world.exchange.orders_by_id)
        await world.crash()
        world.exchange.hold_reply = None
        world.exchange.fill(the_id(), filled, tell=False)
        assert world.status("a").attempts == []
        WHILE_AWAY[what](world)
        await asyncio.sleep(120)
        world.exchange.calls.clear()
        await world.start()
        if what == "deleted":
            await until(lambda: world.store.get("a") is None)
            assert the_order(world).status.ended
            assert {"lookup", "orders", "cancel"} & set(world.exchange.calls), "it was found before it was let go"
        elif what == "cancelled" or filled == "1":
            status = await finished(world)
            assert (status.state, str(status.filled_quantity)) == (OrderState.FILLED if filled == "1" else OrderState.CANCELED, filled)
            assert the_order(world).status.ended
        else:
            await until(lambda: world.status("a").state is OrderState.PARTIALLY_FILLED)
            await asyncio.sleep(60)
            assert the_order(world).status is OrderStatus.OPEN
            assert world.status("a").completion_time is None
        assert not world.accounts.record.status.unattributed_fills, "no fill came too late for its intent"

    story(tell)


class AnotherHolder:
    """The clearance of whoever holds the account meanwhile."""

    def __init__(self, world):
        self.world = world

    def stamp(self):
        return self.world.exchange.now_ms()

    def check(self, stamp):
        return None


async def another_holder_sends(world, uid: str = "a") -> None:
    request = OrderRequest(client_order_id=the_id(uid=uid), quantity=a_spec().quantity, price=a_spec().price, **LIMIT)
    await world.exchange._take_order(request, AnotherHolder(world).stamp())


@pytest.mark.proves("rule 4", "H3")
def test_the_account_moves_on_while_the_rate_budget_holds_the_send():
    """Decided, and held for twenty seconds; meanwhile the Lease is lost and its next holder sends the order."""

    async def tell(world):
        desk, world.exchange.budget_s = world.desk, 20.0
        world.store.create("a", a_spec())
        await until(lambda: desk.memory.sent_for("a"))
        desk.lease.lost.set()
        await until(lambda: desk.session.term is None or desk.session.term.over.is_set())
        await another_holder_sends(world)
        await asyncio.sleep(60)
        assert len(world.exchange.orders_by_id) == 1
        assert world.exchange.stamps == []
        assert world.status("a").state is OrderState.OPEN

    story(tell)


@pytest.mark.proves("rule 4", "H4", "F47")
def test_a_machine_that_was_paused_with_its_clock_sends_nothing_that_the_venue_takes():
    """A minute passes for the venue and none for us. The next holder has sent the order when we wake up, sure of our Lease."""

    async def tell(world):
        world.exchange.refuses_old = True
        term = world.desk.session.term
        world.store.create("a", a_spec())
        world.exchange.clock_jump_ms = 60_000
        await another_holder_sends(world)
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert term.over.is_set()
        assert world.exchange.calls.count("submit") == 1, "and nothing was tried again before it was looked for"
        assert orders_per_id(world) == {1}

    story(tell)


@pytest.mark.proves("rule 5", "H6")
def test_absence_is_counted_from_the_stamp_and_not_from_the_decision():
    """Decided at 0 s, written at 20 s, given up at once, and arrived 2.5 s later, within the venue's window."""

    async def tell(world):
        exchange = world.exchange
        exchange.budget_s, times = 20.0, []

        async def slow_wire(request, clearance):
            stamp = await exchange.cleared(clearance)
            exchange.budget_s = 0.0
            times.append(stamp)
            asyncio.get_running_loop().call_later(2.5, lambda: exchange._new(request))
            return stamp if isinstance(stamp, Closed) else Unknown("no answer in time")

        exchange.submit = slow_wire
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        await asyncio.sleep(60)
        assert len(times) == 1
        assert len(exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.proves("rule 3", "H6")
def test_a_send_outlives_its_session():
    """Keys are changed while a send is under way: the session begins anew before its answer is there, and the answer still counts."""

    async def tell(world):
        desk, exchange, held = world.desk, world.exchange, asyncio.Event()
        exchange.visibility_ms = 60_000

        async def silent(request, clearance):
            exchange.calls.append("submit")
            await exchange.cleared(clearance)
            await held.wait()
            return Refused("-2010", "Account has insufficient balance for requested action")

        exchange.submit = silent
        world.store.create("a", a_spec())
        await until(lambda: "submit" in exchange.calls)
        term, exchange.secret = desk.session.term, "newer keys"
        await until(term.over.is_set)
        await until(lambda: desk.session.term is not None and desk.session.term.ready)
        await asyncio.sleep(20)
        assert exchange.calls.count("submit") == 1
        assert world.status("a").completion_time is None
        held.set()
        assert (await finished(world)).state is OrderState.REJECTED
        assert exchange.calls.count("submit") == 1

    story(tell)


@pytest.mark.proves("rule 1", "H6")
@pytest.mark.parametrize("error", [RuntimeError("a bug"), ConnectionResetError(), asyncio.CancelledError()], ids=lambda error: type(error).__name__)
def test_an_adapter_that_fails_after_the_first_byte_has_sent(error):
    """The order is there, and the call ends in an exception: that is no proof that nothing was sent."""

    async def tell(world):
        submit = world.exchange.submit

        async def sends_and_fails(request, clearance):
            await submit(request, clearance)
            raise error

        world.exchange.submit = sends_and_fails
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert world.exchange.calls.count("submit") == 1

    story(tell)


@pytest.mark.proves("rule 1", "F1", "F3")
def test_an_order_that_filled_at_once_is_found_though_its_answer_is_none_and_no_open_order_is_there():
    """The submit's outcome is not known, and the order is in no list of open ones: it is filled already."""

    async def tell(world):
        world.exchange.fills_at_once, world.exchange.reply = True, lambda order: Unknown("HTTP 503")
        world.store.create("a", a_spec(type="Market", price=None))
        status = await finished(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, 1)
        assert world.exchange.calls.count("submit") == 1

    story(tell)


@pytest.mark.proves("rule 1", "F4")
def test_no_time_makes_an_end():
    """Accepted, no answer, and then an hour of silence: Unknown for all of it, and what it is once the exchange speaks."""

    async def tell(world):
        world.exchange.reply = lambda order: Unknown("no answer in time")
        world.exchange.accepted = lambda: setattr(world.exchange, "reachable", False)
        world.store.create("a", a_spec())
        await asyncio.sleep(3600)
        assert world.status("a").state is OrderState.UNKNOWN
        assert condition(world, "OutcomeUnknown").status == "True"
        world.exchange.reachable = True
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.proves("rule 5", "F5")
def test_an_order_that_is_not_shown_yet_is_not_absent():
    """No answer, and the venue shows the order only after most of its lookupDelay: not finding it before that counts for nothing."""

    async def tell(world):
        world.exchange.visibility_ms, world.exchange.flight_s = 900, 2.9
        submit = world.exchange.submit

        async def gives_up(request, clearance):
            sending = asyncio.get_running_loop().create_task(submit(request, clearance))
            await asyncio.sleep(0.1)
            del sending
            return Unknown("no answer in time")

        world.exchange.submit = gives_up
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        await asyncio.sleep(30)
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.proves("F6")
def test_a_fill_that_overtakes_the_response_counts_and_the_response_takes_nothing_back():
    """Accepted; the stream tells of a fill; and then the response arrives, which says that nothing is filled."""

    async def tell(world):
        world.exchange.hold_reply, world.exchange.reply = asyncio.Event(), lambda order: Accepted(order)
        world.store.create("a", a_spec())
        await until(lambda: world.exchange.orders_by_id)
        world.exchange.trades_lag_ms = 3_600_000
        world.exchange.fill(the_id(), "0.4", tell=False)
        report(world, the_order(world))
        await asyncio.sleep(1)
        world.exchange.hold_reply.set()
        await until(lambda: world.status("a").state is OrderState.PARTIALLY_FILLED)
        await asyncio.sleep(30)
        assert (world.status("a").state, str(world.status("a").filled_quantity)) == (OrderState.PARTIALLY_FILLED, "0.4")

    story(tell, account={"resyncSeconds": 600})


@pytest.mark.proves("rule 2", "F8")
def test_the_same_name_again_is_another_order():
    """Deleted, cancelled and gone; then an object of the same name: another UID, another id, an order of its own."""

    async def tell(world):
        first = await open_order(world, "uid-1")
        world.store.delete("uid-1")
        await until(lambda: world.store.get("uid-1") is None)
        world.store.create("uid-2", a_spec(), name="uid-1")
        await until(lambda: world.status("uid-2").state is OrderState.OPEN)
        assert world.status("uid-2").client_order_id != first
        assert [order.status for order in world.exchange.orders_by_id.values()] == [OrderStatus.CANCELED, OrderStatus.OPEN]

    story(tell)


@pytest.mark.proves("F46")
def test_a_definite_refusal_is_not_tried_again():
    async def tell(world):
        world.store.create("a", a_spec(quantity="2000"))
        assert (await finished(world)).state is OrderState.REJECTED
        await asyncio.sleep(600)
        assert world.exchange.calls.count("submit") == 1

    story(tell)


@pytest.mark.proves("rule 2", "F7")
@pytest.mark.parametrize("venue", DIALECTS, ids=" ".join)
def test_ids_fit_their_venue_and_do_not_meet(venue):
    """Ten thousand of them: within the venue's length, in characters that every venue takes, and each another."""
    capabilities = DIALECTS[venue].capabilities
    ids = {encode(order_id(OWNER, uid=f"uid-{number}", attempt=1), capabilities.client_order_id_codec) for number in range(10_000)}
    assert len(ids) == 10_000
    assert all(len(made) <= capabilities.client_order_id_max_length and made.replace("-", "").replace("_", "").isalnum() for made in ids)
    assert capabilities.client_order_id_codec in CODECS
