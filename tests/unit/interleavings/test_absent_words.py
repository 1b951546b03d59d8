"""Somebody says Absent of an order that exists: whenever it appears it is cancelled or counted, and told; two live orders of one intent never stay."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState, TradingMode
from exchange_kernel.core.answers import OrderStatus, Unknown
from tests.builders import a_spec
from tests.scripted import World, until
from tests.unit.interleavings.stories import condition, finished, live, story, the_id
from tests.unit.reconcile.test_told import Told

#: Venues that prove no absence: a person is asked about what was lost there.
NO_PROOF = {"request_window_ms": 0}


def say_absent(world: World, client_order_id: str, uid: str = "a") -> None:
    world.store.annotate(uid, json.dumps({"clientOrderId": client_order_id, "outcome": "Absent"}))


def losing_answers(world: World) -> None:
    """What is sent arrives, its answer is lost, and no reading shows the order until `appear`."""

    def lost(order):
        world.exchange.forgotten.add(order.exchange_order_id)
        return Unknown("no answer")

    world.exchange.reply = lost


def appear(world: World) -> None:
    world.exchange.forgotten.clear()


async def restarted(world: World) -> None:
    world.kill()
    await world.start()


async def told_absent(world: World, *, restart: bool = False, **spec) -> None:
    """The first order is at the exchange and hidden; its owner says that it is Absent, and the next one is open."""
    world.events = Told(world)
    await restarted(world)
    losing_answers(world)
    world.store.create("a", a_spec(**spec))
    await until(lambda: world.status("a").state is OrderState.UNKNOWN)
    world.exchange.reply = None
    await asyncio.sleep(30)
    assert condition(world, "Stalled").reason == "OutcomeUnknown"
    say_absent(world, the_id())
    await until(lambda: world.status("a").state is OrderState.OPEN)
    assert len(live(world)) == 2
    if restart:
        await restarted(world)


def first(world: World):
    return world.exchange.orders_by_id["1000"]


def the_warning(world: World) -> bool:
    return "AbsentOrderFound" in world.events.of()


@pytest.mark.proves("rule 5")
@pytest.mark.parametrize("restart", [False, True])
def test_the_order_that_i_called_absent_appears_open_and_is_cancelled(restart):
    async def tell(world):
        await told_absent(world, restart=restart)
        appear(world)
        await until(lambda: first(world).status is OrderStatus.CANCELED, within=120)
        await asyncio.sleep(30)
        assert [order.client_order_id for order in live(world)] == [the_id(2)]
        assert world.status("a").state is OrderState.OPEN
        assert the_warning(world)
        world.exchange.fill(the_id(2), "1")
        assert (await finished(world)).filled_quantity == 1

    story(tell, **NO_PROOF)


@pytest.mark.proves("rule 5", "rule 8")
@pytest.mark.parametrize("restart", [False, True])
def test_the_order_that_i_called_absent_was_filled_so_the_next_one_is_cancelled(restart):
    async def tell(world):
        await told_absent(world)
        world.exchange.fill(the_id(), "1", tell=False)
        if restart:
            world.kill()
        appear(world)
        if restart:
            await world.start()
        status = await finished(world, within=180)
        assert not live(world)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, 1)
        assert the_warning(world)

    story(tell, **NO_PROOF)


@pytest.mark.proves("rule 5", "rule 8")
@pytest.mark.parametrize("restart", [False, True])
def test_the_order_that_i_called_absent_was_filled_in_part_and_what_is_left_stays_wanted(restart):
    async def tell(world):
        await told_absent(world)
        world.exchange.fill(the_id(), "0.4", tell=False)
        world.exchange._set(replace(first(world), status=OrderStatus.CANCELED, update_time_ms=world.exchange.now_ms()), tell=False)
        if restart:
            world.kill()
        appear(world)
        if restart:
            await world.start()
        await until(lambda: world.status("a").filled_quantity == Decimal("0.4"), within=120)
        await until(lambda: [order.quantity for order in live(world)] == [Decimal("0.6")] and world.status("a").operation is None, within=60)
        assert the_warning(world)
        world.exchange.fill(live(world)[0].client_order_id, "0.6")
        assert (await finished(world)).filled_quantity == 1

    story(tell, **NO_PROOF)


@pytest.mark.parametrize("held", ["modifyPolicy Reject", "modifyPolicy AmendOnly", "suspended", "CancelOnly"])
def test_nothing_keeps_the_next_order_from_getting_smaller_when_the_first_turns_out_filled(held):
    """Each of these holds changes and sends: here a change keeps the two from buying more than I want."""

    async def tell(world):
        policy = {"modifyPolicy": held.partition(" ")[2]} if held.startswith("modify") else {}
        await told_absent(world, **policy)
        world.exchange.fill(the_id(), "0.4", tell=False)
        world.exchange._set(replace(first(world), status=OrderStatus.CANCELED, update_time_ms=world.exchange.now_ms()), tell=False)
        if held == "suspended":
            world.store.edit("a", a_spec(suspend=True))
        elif held == "CancelOnly":
            record = world.accounts.record
            world.accounts.put(replace(record, spec=record.spec.model_copy(update={"trading_mode": TradingMode.CANCEL_ONLY}), generation=record.generation + 1))
        appear(world)
        await until(lambda: world.status("a").filled_quantity == Decimal("0.4"), within=120)
        await asyncio.sleep(30)
        assert [order.quantity for order in live(world)] == ([Decimal("0.6")] if held.startswith("modify") else []), "no live order asks for more than is left"

    story(tell, **NO_PROOF)


def test_an_order_that_i_called_canceled_is_open_after_its_end_and_is_cancelled():
    """The same mistake in another word."""

    async def tell(world):
        world.events = Told(world)
        await restarted(world)
        losing_answers(world)
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        await asyncio.sleep(30)
        world.store.annotate("a", json.dumps({"clientOrderId": the_id(), "outcome": "Canceled"}))
        await finished(world)
        appear(world)
        await until(lambda: not live(world), within=120)
        assert "AbsentOrderFound" in world.events.accounts

    story(tell, **NO_PROOF)


def test_i_correct_my_word_the_order_i_called_absent_was_filled():
    """The exchange can't show it, and I found it in its records."""

    async def tell(world):
        await told_absent(world)
        world.store.annotate("a", json.dumps({"clientOrderId": the_id(), "outcome": "Filled", "filledQuantity": "1", "averagePrice": "50000"}))
        status = await finished(world, within=120)
        assert (status.state, status.filled_quantity) == (OrderState.FILLED, 1)
        assert [order.client_order_id for order in live(world)] == [the_id()], "only the one that no reading shows"

    story(tell, **NO_PROOF)


def test_my_word_on_the_first_order_is_no_word_on_the_next():
    """The next send is lost too: the annotation, which still stands there, says nothing about it."""

    async def tell(world):
        losing_answers(world)
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        await asyncio.sleep(30)
        say_absent(world, the_id())
        await until(lambda: len(live(world)) == 2, within=60)
        await asyncio.sleep(300)
        assert len(live(world)) == 2, "no third one"
        assert world.status("a").state is OrderState.UNKNOWN
        assert condition(world, "Stalled").reason == "OutcomeUnknown"
        appear(world)
        await until(lambda: world.status("a").state is OrderState.OPEN and len(live(world)) == 1, within=120)

    story(tell, **NO_PROOF)


def test_i_say_absent_of_an_order_that_the_exchange_shows_by_now_and_it_is_not_sent_again():
    async def tell(world):
        losing_answers(world)
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        await asyncio.sleep(300)
        appear(world)
        world.exchange.unlisted.add("1000")
        say_absent(world, the_id())
        await until(lambda: world.status("a").state is OrderState.OPEN, within=60)
        await asyncio.sleep(60)
        assert len(world.exchange.orders_by_id) == 1

    story(tell, **NO_PROOF)


def test_the_word_stays_though_its_annotation_is_taken_off():
    async def tell(world):
        await told_absent(world)
        world.store.annotate("a", None)
        await asyncio.sleep(60)
        assert world.status("a").state is OrderState.OPEN
        appear(world)
        await until(lambda: first(world).status is OrderStatus.CANCELED, within=120)

    story(tell, **NO_PROOF)


@pytest.mark.parametrize("restart", [False, True])
def test_i_call_the_replacement_absent_and_it_appears(restart):
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        losing_answers(world)
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        world.exchange.reply = None
        await asyncio.sleep(30)
        say_absent(world, the_id(2))
        await until(lambda: world.status("a").state is OrderState.OPEN)
        if restart:
            await restarted(world)
        appear(world)
        await until(lambda: [order.client_order_id for order in live(world)] == [the_id(3)], within=120)
        world.exchange.fill(the_id(3), "1")
        assert (await finished(world)).filled_quantity == 1

    story(tell, account={"sendPolicy": "WriteAhead"}, **NO_PROOF)


@pytest.mark.proves("rule 11")
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("ended", ["filled", "canceled"])
def test_the_order_that_i_called_absent_appears_open_after_the_end_and_is_cancelled(ended, restart):
    async def tell(world):
        await told_absent(world)
        if ended == "filled":
            world.exchange.fill(the_id(2), "1")
        else:
            world.store.edit("a", a_spec(desiredState="Canceled"))
        await finished(world)
        if restart:
            await restarted(world)
        await asyncio.sleep(30)
        appear(world)
        await until(lambda: not live(world), within=120)
        assert "AbsentOrderFound" in world.events.accounts

    story(tell, **NO_PROOF)


def test_the_order_that_i_called_absent_fills_after_the_end_and_the_account_tells_it():
    async def tell(world):
        await told_absent(world)
        world.exchange.fill(the_id(2), "1")
        await finished(world)
        appear(world)
        world.exchange.fill(the_id(), "1")
        await until(lambda: "LateFill" in world.events.accounts, within=60)

    story(tell, **NO_PROOF)


def test_too_late_for_its_deadline_it_is_not_sent_again():
    async def tell(world):
        losing_answers(world)
        world.store.create("a", a_spec(submitDeadlineSeconds=60))
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        await asyncio.sleep(120)
        say_absent(world, the_id())
        assert (await finished(world)).state is OrderState.DENIED
        assert world.exchange.calls.count("submit") == 1

    story(tell, **NO_PROOF)


def test_the_deadline_passes_while_the_next_one_waits_to_be_sent():
    """What was called absent was no submission: the next attempt is the first one still."""

    async def tell(world):
        losing_answers(world)
        world.store.create("a", a_spec(submitDeadlineSeconds=120))
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        await asyncio.sleep(60)
        world.exchange.reachable = False
        say_absent(world, the_id())
        await asyncio.sleep(120)
        world.exchange.reachable, world.exchange.reply = True, None
        await until(lambda: world.status("a").completion_time is not None or world.status("a").state is OrderState.OPEN, within=60)
        assert world.status("a").state is OrderState.DENIED

    story(tell, **NO_PROOF)


KEY = {"idempotencyKey": "one", "submitDeadlineTime": "2099-01-01T00:00:00Z"}


@pytest.mark.proves("rule 2", "rule 5")
@pytest.mark.parametrize("filled", [False, True])
def test_an_order_found_by_its_key_is_found_again_after_its_first_attempt_was_called_absent(filled):
    """Delete and recreate with the same idempotencyKey: what the next attempt has at the exchange is still the order."""

    async def tell(world):
        losing_answers(world)
        world.exchange.readable = False  # until the exchange may have forgotten it
        world.store.create("a", a_spec(**KEY, deletionPolicy="Orphan"))
        world.exchange.readable = True
        await until(lambda: len(world.exchange.orders_by_id) == 1, within=60)
        world.exchange.readable, world.exchange.reply = False, None
        await asyncio.sleep(700)
        world.exchange.readable = True
        await until(lambda: condition(world, "Stalled").status == "True", within=60)
        say_absent(world, world.status("a").client_order_id)
        await until(lambda: world.status("a").state is OrderState.OPEN, within=60)
        assert len(world.exchange.orders_by_id) == 2
        world.store.delete("a")
        await until(lambda: world.store.get("a") is None, within=60)
        if filled:
            world.exchange.fill(live(world)[-1].client_order_id, "1")
        await restarted(world)
        world.store.create("b", a_spec(**KEY))
        await asyncio.sleep(60)
        assert world.status("b").state is (OrderState.FILLED if filled else OrderState.OPEN)
        assert len(world.exchange.orders_by_id) == 2, "none was sent beside it"

    story(tell, retention_ms=600_000)


def test_absent_is_said_once_of_an_id_that_is_sent_again():
    """A key's order was asked about before the first send. The send that followed was lost too: what was said before it says nothing of it."""

    async def tell(world):
        losing_answers(world)
        world.store.create("a", a_spec(**KEY))
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        await asyncio.sleep(30)
        say_absent(world, world.status("a").client_order_id)
        await until(lambda: len(world.exchange.orders_by_id) == 1, within=60)
        await asyncio.sleep(300)
        assert len(world.exchange.orders_by_id) == 1
        stalled = condition(world, "Stalled")
        assert (stalled.status, stalled.reason) == ("True", "OutcomeUnknown")
        assert "Canceled" in stalled.message
        world.store.annotate("a", json.dumps({"clientOrderId": world.status("a").client_order_id, "outcome": "Canceled"}))
        assert (await finished(world)).state is OrderState.CANCELED

    story(tell, **NO_PROOF)


@pytest.mark.parametrize("stamped", [False, True])
def test_an_operator_that_asks_for_the_stamp_takes_no_word_without_it_and_says_why(stamped):
    async def tell(world):
        losing_answers(world)
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.UNKNOWN)
        await asyncio.sleep(30)
        word = json.dumps({"clientOrderId": the_id(), "outcome": "Canceled"})
        world.store.annotate("a", word, by="ann" if stamped else None, unstamped=not stamped)
        await asyncio.sleep(60)
        if stamped:
            assert world.status("a").completion_time is not None
            return
        stalled = condition(world, "Stalled")
        assert (world.status("a").state, stalled.status, stalled.reason) == (OrderState.UNKNOWN, "True", "ResolveNotStamped")
        assert "kubectl exchange resolve" in stalled.message
        world.store.annotate("a", word, by="ann")
        await finished(world)

    story(tell, **NO_PROOF)


def test_a_word_that_cant_be_read_does_not_keep_an_absence_from_being_proved():
    """Whoever may annotate an order could hold it so for ever."""

    async def tell(world):
        submit, lost = world.exchange.submit, []

        async def never_arrives(request, clearance):
            clearance.stamp()
            lost.append(request)
            return Unknown("silent")

        world.exchange.submit = never_arrives
        world.store.create("a", a_spec())
        await until(lambda: lost)
        world.exchange.submit = submit
        world.store.annotate("a", "no word")
        await until(lambda: world.status("a").state is OrderState.OPEN, within=60)

    story(tell)
