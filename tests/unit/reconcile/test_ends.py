"""How an order's life ends, and what a person can do about one that will not: told in virtual time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from exchange_kernel.api import OrderState, TradingMode
from exchange_kernel.core.answers import OrderStatus, Refused, Unknown
from tests.builders import a_spec, a_venue
from tests.scripted import a_world, until
from tests.virtual_time import run


def story(tell):
    async def whole():
        async with a_world() as world:
            await world.start()
            await tell(world)

    run(whole())


def condition(world, kind: str, uid: str = "a"):
    return next(condition for condition in world.status(uid).conditions if condition.type == kind)


async def waits_for(world, reason: str, uid: str = "a", within: float = 60.0):
    await until(lambda: world.status(uid).conditions and condition(world, "Ready", uid).reason == reason, within)


def after(world, seconds: float) -> str:
    now = datetime.fromtimestamp(world.exchange.now_ms() / 1000, UTC) + timedelta(seconds=seconds)
    return now.isoformat().replace("+00:00", "Z")


# ── ttlSecondsAfterFinished ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_a_finished_object_is_deleted_when_its_time_is_over():
    async def tell(world):
        world.exchange.fills_at_once = True
        world.store.create("a", a_spec(ttlSecondsAfterFinished=30))
        await until(lambda: world.status("a").completion_time is not None)
        await asyncio.sleep(29)
        assert world.store.get("a") is not None
        await until(lambda: world.store.get("a") is None, within=3)

    story(tell)


def test_its_time_goes_on_over_a_restart_and_can_be_set_later():
    async def tell(world):
        world.exchange.fills_at_once = True
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").completion_time is not None)
        world.store.edit("a", a_spec(ttlSecondsAfterFinished=60))
        await world.crash()
        await world.start()
        await until(lambda: world.store.get("a") is None, within=65)

    story(tell)


# ── The deadline, and time suspended ────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_time_suspended_does_not_count_towards_the_deadline():
    async def tell(world):
        world.store.create("a", a_spec(suspend=True, submitDeadlineSeconds=60))
        await waits_for(world, "Suspended")
        await asyncio.sleep(600)
        assert not world.exchange.orders_by_id
        world.store.edit("a", a_spec(submitDeadlineSeconds=60))
        await until(lambda: world.status("a").state is OrderState.OPEN)

    story(tell)


def test_a_target_that_grows_before_the_fill_has_settled_is_sent_as_a_change():
    async def tell(world):
        world.exchange.trades_lag_ms = 4000
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        world.exchange.fill(world.status("a").client_order_id, "1", tell=False)
        await until(lambda: world.status("a").state is OrderState.FILLED)
        assert world.status("a").completion_time is None
        world.store.edit("a", a_spec(quantity="3"))
        await until(lambda: [order.quantity for order in world.exchange.orders_by_id.values() if not order.status.ended] == [Decimal(2)])
        world.exchange.fill(next(order.client_order_id for order in world.exchange.orders_by_id.values() if not order.status.ended), "2")
        await until(lambda: world.status("a").completion_time is not None)
        assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.FILLED, Decimal(3))

    story(tell)


def test_suspended_twice_and_over_a_restart_it_still_has_the_rest_of_its_time():
    async def tell(world):
        world.accounts.record = replace(world.accounts.record, spec=world.accounts.record.spec.model_copy(update={"trading_mode": TradingMode.CANCEL_ONLY}))
        world.desk.account_keys.wake(world.accounts.record.uid)
        await asyncio.sleep(1)
        world.store.create("a", a_spec(suspend=True, submitDeadlineSeconds=100))
        await waits_for(world, "Suspended")
        await asyncio.sleep(300)
        world.store.edit("a", a_spec(submitDeadlineSeconds=100))
        await waits_for(world, "TradingModeCancelOnly")
        await world.crash()
        await world.start()
        await asyncio.sleep(30)
        assert world.status("a").state is OrderState.PENDING, "of its 100 s some 40 are gone"
        await asyncio.sleep(70)
        await until(lambda: world.status("a").state is OrderState.DENIED)
        assert condition(world, "Finished").reason == "SubmitDeadlineExceeded"

    story(tell)


def test_submit_deadline_time_holds_while_suspended():
    async def tell(world):
        world.store.create("a", a_spec(suspend=True, submitDeadlineTime=after(world, 60)))
        await waits_for(world, "Suspended")
        await asyncio.sleep(61)
        world.store.edit("a", world.store.get("a").spec.model_copy(update={"suspend": False}))
        await until(lambda: world.status("a").state is OrderState.DENIED)
        assert not world.exchange.orders_by_id

    story(tell)


# ── Good till date ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.parametrize("word", [OrderStatus.EXPIRED, OrderStatus.CANCELED])
def test_an_order_good_till_date_expires_by_cause_whatever_the_venue_calls_it(word):
    async def tell(world):
        world.exchange.capabilities = a_venue(times_in_force=frozenset({"GTC", "GTD"}))
        world.store.create("a", a_spec(timeInForce="GTD", expireTime=after(world, 60)))
        await until(lambda: world.status("a").state is OrderState.OPEN)
        await asyncio.sleep(60)
        order = next(iter(world.exchange.orders_by_id.values()))
        world.exchange._set(replace(order, status=word, update_time_ms=world.exchange.now_ms()))
        await until(lambda: world.status("a").completion_time is not None)
        assert (world.status("a").state, condition(world, "Finished").reason) == (OrderState.EXPIRED, "Expired")

    story(tell)


def test_an_order_whose_date_passed_before_it_could_be_sent_is_denied():
    async def tell(world):
        world.exchange.capabilities = a_venue(times_in_force=frozenset({"GTC", "GTD"}))
        world.store.create("a", a_spec(timeInForce="GTD", expireTime=after(world, -1)))
        await until(lambda: world.status("a").state is OrderState.DENIED)
        assert condition(world, "Finished").reason == "ExpireTimePassed"
        assert not world.exchange.orders_by_id

    story(tell)


# ── A replacement that is refused ───────────────────────────────────────────────────────────────────────────────────────────────────────────

def funds_locked_for(world, refusals: int) -> None:
    """The venue frees the cancelled order's funds only after so many refusals of its replacement."""
    submit, left = world.exchange.submit, [refusals]

    async def tight(request, clearance):
        if world.exchange.orders_by_id and left[0] > 0:
            left[0] -= 1
            world.exchange.calls.append("refused")
            return Refused("-2010", "Account has insufficient balance for requested action")
        return await submit(request, clearance)

    world.exchange.submit = tight


@pytest.mark.proves("F16")
def test_a_replacement_refused_while_funds_are_locked_is_offered_again_and_goes_through():
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        funds_locked_for(world, 2)
        world.store.edit("a", a_spec(price="49000"))
        await waits_for(world, "ReplacementRefused")
        assert world.status("a").state is OrderState.SUBMITTING
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert [order.price for order in world.exchange.orders_by_id.values() if not order.status.ended] == [Decimal(49000)]

    story(tell)


@pytest.mark.proves("F14", "F16")
def test_a_replacement_that_stays_refused_is_surfaced_after_a_bounded_number_of_offers():
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        world.exchange.fill(world.status("a").client_order_id, "0.4")
        funds_locked_for(world, 1000)
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: world.status("a").completion_time is not None)
        assert world.exchange.calls.count("refused") == 4
        assert world.status("a").state is OrderState.REJECTED
        assert condition(world, "Finished").reason == "ReplacementRefused"
        assert "insufficient balance" in condition(world, "Stalled").message
        assert world.status("a").filled_quantity == Decimal("0.4")

    story(tell)


def test_a_cancel_between_two_offers_ends_it():
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        funds_locked_for(world, 1000)
        world.store.edit("a", a_spec(price="49000"))
        await waits_for(world, "ReplacementRefused")
        world.store.edit("a", a_spec(price="49000", desiredState="Canceled"))
        await until(lambda: world.status("a").completion_time is not None)
        assert condition(world, "Finished").reason == "CanceledAsAsked"

    story(tell)


# ── A person's word (resolve) ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

async def unknown_forever(world) -> str:
    """At a venue without expiry, an answer that never came: nothing proves that the order does not exist."""
    world.exchange.capabilities = a_venue(request_window_ms=0)

    async def lost(request, clearance):
        assert isinstance(clearance.stamp(), int)
        return Unknown("silent")

    world.exchange.submit = lost
    world.store.create("a", a_spec())
    await until(lambda: world.status("a").conditions and condition(world, "Stalled").reason == "OutcomeUnknown")
    return world.status("a").client_order_id


def resolve(world, **said) -> None:
    world.store.annotate("a", json.dumps(said))


@pytest.mark.proves("rule 5", "H11")
def test_a_person_says_that_it_was_filled():
    async def tell(world):
        client_order_id = await unknown_forever(world)
        resolve(world, clientOrderId=client_order_id, outcome="Canceled", filledQuantity="0.4", averagePrice="49000")
        await until(lambda: world.status("a").completion_time is not None)
        status = world.status("a")
        assert (status.state, status.filled_quantity, status.average_price) == (OrderState.CANCELED, Decimal("0.4"), Decimal(49000))

    story(tell)


@pytest.mark.proves("rule 5", "H11")
def test_a_person_says_that_it_never_arrived_and_it_is_cancelled():
    async def tell(world):
        client_order_id = await unknown_forever(world)
        world.store.delete("a")
        await asyncio.sleep(60)
        assert world.store.get("a") is not None, "nothing proves that it is gone"
        resolve(world, clientOrderId=client_order_id, outcome="Absent")
        await until(lambda: world.store.get("a") is None)

    story(tell)


def test_a_person_says_that_it_never_arrived_and_it_is_sent_if_there_is_time():
    async def tell(world):
        submit = world.exchange.submit
        client_order_id = await unknown_forever(world)
        world.exchange.submit = submit
        resolve(world, clientOrderId=client_order_id, outcome="Absent")
        await until(lambda: world.status("a").state is OrderState.OPEN)
        assert len(world.exchange.orders_by_id) == 1

    story(tell)


@pytest.mark.parametrize(("reason", "said"), [
    ("another order's id", {"clientOrderId": "0a1b2c" + "0" * 26, "outcome": "Absent"}),
    ("an outcome there is not", {"clientOrderId": "ID", "outcome": "Lost"}),
    ("a fill without its price", {"clientOrderId": "ID", "outcome": "Canceled", "filledQuantity": "1"}),
    ("a number that is no text", {"clientOrderId": "ID", "outcome": "Canceled", "filledQuantity": 1, "averagePrice": "5"}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_word_that_is_no_answer_changes_nothing(reason, said):
    async def tell(world):
        client_order_id = await unknown_forever(world)
        resolve(world, **{key: client_order_id if value == "ID" else value for key, value in said.items()})
        await asyncio.sleep(30)
        assert world.status("a").state is OrderState.UNKNOWN
        assert condition(world, "Stalled").reason == ("OutcomeUnknown" if reason == "another order's id" else "ResolveNotReadable")

    story(tell)


def test_what_the_exchange_shows_counts_for_more_than_a_person_s_word():
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        resolve(world, clientOrderId=world.status("a").client_order_id, outcome="Absent")
        await asyncio.sleep(30)
        assert world.status("a").state is OrderState.OPEN

    story(tell)


# ── Two orders under one id ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 2", "H26")
def test_h26_two_orders_under_one_id_are_shown_counted_and_cancelled_together():
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        first = next(iter(world.exchange.orders_by_id.values()))
        world.exchange.trades_of["7777"] = []
        world.exchange._set(replace(first, exchange_order_id="7777"))
        await waits_for(world, "Duplicated")
        assert condition(world, "Stalled").status == "True"
        world.exchange.fill(first.client_order_id, "0.3")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.3"))
        world.store.edit("a", a_spec(desiredState="Canceled"))
        await until(lambda: world.status("a").completion_time is not None)
        assert all(order.status is OrderStatus.CANCELED for order in world.exchange.orders_by_id.values())
        assert world.status("a").filled_quantity == Decimal("0.3")

    story(tell)


# ── An account that can't be used ───────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_deleting_without_an_account_names_the_two_ways_out_and_orphan_is_one():
    """By its key an earlier object may have sent the order: that there is no account proves nothing."""
    keyed = {"accountRef": {"name": "nobody"}, "idempotencyKey": "entry-7", "submitDeadlineTime": "2027-06-01T00:00:00Z"}

    async def tell(world):
        world.store.create("a", a_spec(**keyed))
        await waits_for(world, "AccountNotFound")
        world.store.delete("a")
        await until(lambda: "deletionPolicy: Orphan" in condition(world, "Stalled").message)
        assert world.store.get("a") is not None
        world.store.edit("a", a_spec(**keyed, deletionPolicy="Orphan"))
        await until(lambda: world.store.get("a") is None)

    story(tell)


# ── An execution that is taken back ─────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 8", "F27")
def test_rule_8_a_bust_is_the_one_way_for_a_fill_to_fall():
    async def tell(world):
        world.store.create("a", a_spec())
        await until(lambda: world.status("a").state is OrderState.OPEN)
        client_order_id = world.status("a").client_order_id
        world.exchange.fill(client_order_id, "0.4")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.4"))
        (first,) = world.status("a").fills
        await asyncio.sleep(1)
        world.exchange.bust(first.trade_id)
        await until(lambda: world.status("a").filled_quantity == 0)
        status = world.status("a")
        assert (status.state, status.fills, status.fees, status.attempts[0].busted_quantity) == (OrderState.OPEN, [], [], Decimal("0.4"))
        await asyncio.sleep(1)
        world.exchange.fill(client_order_id, "0.7")
        await until(lambda: world.status("a").filled_quantity == Decimal("0.7"))
        await world.crash()
        await world.start()
        await asyncio.sleep(20)
        assert world.status("a").filled_quantity == Decimal("0.7")
        world.exchange.fill(client_order_id, "0.3")
        await until(lambda: world.status("a").completion_time is not None)
        assert (world.status("a").state, world.status("a").filled_quantity) == (OrderState.FILLED, Decimal(1))

    story(tell)
