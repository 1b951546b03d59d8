"""Changes of a live order, by us and by others: amend in place, replace, drift (rule 10), told in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange_kernel.api import AmendQuantity, Operation, OrderState, ReplaceKind
from exchange_kernel.core.answers import Refused, Unknown
from tests.builders import a_spec, a_venue
from tests.scripted import a_world, until
from tests.virtual_time import run

AMENDS = {"amend": AmendQuantity.TOTAL}


def story(tell, **venue):
    async def whole():
        async with a_world() as world:
            world.exchange.capabilities = a_venue(**venue)
            await world.start()
            world.store.create("a", a_spec(driftPolicy="Report"))
            await until(lambda: world.status("a").state is OrderState.OPEN)
            await tell(world)

    run(whole())


def the_order(world):
    (order,) = world.exchange.orders_by_id.values()
    return order


def ready(world):
    return next(condition for condition in world.status("a").conditions if condition.type == "Ready")


async def at_rest(world, *, price: str, quantity: str = "1"):
    await until(lambda: ready(world).status == "True" and (the_order(world).price, the_order(world).quantity) == (Decimal(price), Decimal(quantity)))


# ── Amend ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 10")
def test_rule_10_an_order_is_amended_in_place_where_quantity_means_its_total():
    async def tell(world):
        world.exchange.fill(the_order(world).client_order_id, "0.4")
        world.store.edit("a", a_spec(quantity="2", price="49000"))
        await until(lambda: ready(world).status == "True" and the_order(world).quantity == 2)
        assert the_order(world).filled_quantity == Decimal("0.4")
        (attempt,) = world.status("a").attempts
        assert (attempt.quantity, attempt.price, attempt.amend) == (Decimal(2), Decimal(49000), None)
        assert "cancel" not in world.exchange.calls

    story(tell, **AMENDS)


@pytest.mark.proves("rule 6")
def test_rule_6_an_amend_is_written_before_it_is_asked():
    async def tell(world):
        seen = []
        amend = world.exchange.amend

        async def watching(ref, request, clearance):
            seen.append(world.status("a").attempts[0].amend)
            return await amend(ref, request, clearance)

        world.exchange.amend = watching
        world.store.edit("a", a_spec(price="49000"))
        await at_rest(world, price="49000")
        assert [target.price for target in seen] == [Decimal(49000)]

    story(tell, **AMENDS)


@pytest.mark.proves("rule 10", "H24")
def test_h24_an_amend_without_an_answer_is_settled_before_the_next_one_is_asked():
    """A times out and the order still shows the old price: until A's window has closed it may still arrive, so B waits."""

    async def tell(world):
        arrives_after = 3.0

        async def late(ref, request, clearance):
            world.exchange.calls.append("amend")
            assert isinstance(clearance.stamp(), int)
            price = request.price

            def arrive():
                world.exchange._set(replace(the_order(world), price=price, update_time_ms=world.exchange.now_ms()), tell=False)

            asyncio.get_running_loop().call_later(arrives_after, arrive)
            return Unknown("silent")

        amend, world.exchange.amend = world.exchange.amend, late
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: "amend" in world.exchange.calls)
        world.exchange.amend = amend
        world.store.edit("a", a_spec(price="48000"))
        await asyncio.sleep(2)
        assert world.exchange.calls.count("amend") == 1
        assert world.status("a").operation is Operation.AMENDING
        await at_rest(world, price="48000")
        await asyncio.sleep(10)
        assert the_order(world).price == Decimal(48000)

    story(tell, **AMENDS)


@pytest.mark.proves("rule 10", "H24")
def test_h24_an_amend_that_never_arrived_is_asked_again_once_its_window_has_closed():
    async def tell(world):
        async def lost(ref, request, clearance):
            assert isinstance(clearance.stamp(), int)
            return Unknown("silent")

        amend, world.exchange.amend = world.exchange.amend, lost
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: world.status("a").operation is Operation.AMENDING)
        world.exchange.amend = amend
        await at_rest(world, price="49000")
        assert len(world.exchange.orders_by_id) == 1

    story(tell, **AMENDS)


@pytest.mark.parametrize("arrived", [True, False])
def test_an_amend_under_way_at_a_restart_is_settled_by_reading(arrived):
    async def tell(world):
        async def dies(ref, request, clearance):
            if arrived:
                world.exchange._set(replace(the_order(world), price=request.price, update_time_ms=world.exchange.now_ms()), tell=False)
            world.kill()
            raise asyncio.CancelledError

        amend, world.exchange.amend = world.exchange.amend, dies
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: world.desk is None)
        world.exchange.amend = amend
        await world.start()
        await at_rest(world, price="49000")
        assert world.exchange.calls.count("amend") == (0 if arrived else 1)
        assert world.status("a").attempts[0].amend is None

    story(tell, **AMENDS)


def test_an_amend_that_is_refused_becomes_a_replacement():
    async def tell(world):
        async def refuse(ref, request, clearance):
            return Refused("-2038", "Order amend is not supported")

        world.exchange.amend = refuse
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: len(world.exchange.orders_by_id) == 2 and ready(world).status == "True")

    story(tell, **AMENDS)


def test_amend_only_never_replaces():
    async def tell(world):
        async def refuse(ref, request, clearance):
            return Refused("-2038", "Order amend is not supported")

        world.exchange.amend = refuse
        world.store.edit("a", a_spec(price="49000", modifyPolicy="AmendOnly"))
        await until(lambda: ready(world).reason == "AmendRefused")
        await asyncio.sleep(20)
        assert the_order(world).price == Decimal(50000)
        assert "not supported" in ready(world).message

    story(tell, **AMENDS)


def test_a_cancel_does_not_wait_for_an_amend():
    async def tell(world):
        async def lost(ref, request, clearance):
            assert isinstance(clearance.stamp(), int)
            return Unknown("silent")

        world.exchange.amend = lost
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: world.status("a").operation is Operation.AMENDING)
        world.store.edit("a", a_spec(price="49000", desiredState="Canceled"))
        await until(lambda: the_order(world).status.ended, within=1)
        await until(lambda: world.status("a").completion_time is not None)

    story(tell, **AMENDS)


# ── Drift ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def somebody_changes_it(world, **changes) -> None:
    world.exchange._set(replace(the_order(world), update_time_ms=world.exchange.now_ms(), **changes))


def test_drift_is_shown_and_left_alone():
    async def tell(world):
        somebody_changes_it(world, price=Decimal(51000))
        await until(lambda: ready(world).reason == "Drifted")
        assert next(condition.status for condition in world.status("a").conditions if condition.type == "Synced") == "False"
        await asyncio.sleep(30)
        assert the_order(world).price == Decimal(51000)
        assert world.status("a").attempts[0].price == Decimal(50000), "what was asked, not what somebody made of it"

    story(tell)


def test_drift_survives_a_restart_as_drift():
    async def tell(world):
        somebody_changes_it(world, quantity=Decimal(3))
        await until(lambda: ready(world).reason == "Drifted")
        await world.crash()
        await world.start()
        await asyncio.sleep(30)
        assert ready(world).reason == "Drifted"
        assert the_order(world).quantity == 3

    story(tell)


@pytest.mark.parametrize("venue", [{}, AMENDS], ids=["replaced", "amended"])
def test_drift_is_changed_back_where_spec_says_so(venue):
    async def tell(world):
        world.store.edit("a", a_spec(driftPolicy="Enforce"))
        somebody_changes_it(world, price=Decimal(51000))
        await until(lambda: [order.price for order in world.exchange.orders_by_id.values() if not order.status.ended] == [Decimal(50000)])
        await until(lambda: ready(world).status == "True")
        assert len(world.exchange.orders_by_id) == (1 if venue else 2)

    story(tell, **venue)


def test_writing_spec_as_the_order_is_ends_the_drift():
    async def tell(world):
        somebody_changes_it(world, price=Decimal(51000))
        await until(lambda: ready(world).reason == "Drifted")
        world.store.edit("a", a_spec(price="51000"))
        await until(lambda: ready(world).status == "True")
        assert len(world.exchange.orders_by_id) == 1
        assert world.status("a").attempts[0].price == Decimal(51000)

    story(tell)


def test_an_edit_of_a_drifted_order_is_carried_out():
    async def tell(world):
        somebody_changes_it(world, price=Decimal(51000))
        await until(lambda: ready(world).reason == "Drifted")
        world.store.edit("a", a_spec(price="47000"))
        await until(lambda: [order.price for order in world.exchange.orders_by_id.values() if not order.status.ended] == [Decimal(47000)])

    story(tell)


@pytest.mark.proves("rule 10", "H24")
def test_our_own_late_amend_is_no_drift_and_is_corrected():
    """At a venue without expiry an old amend may arrive whenever it likes: after a newer one, it is ours to correct."""

    async def tell(world):
        world.store.edit("a", a_spec(price="49000"))
        await at_rest(world, price="49000")
        world.store.edit("a", a_spec(price="48000"))
        await at_rest(world, price="48000")
        somebody_changes_it(world, price=Decimal(49000))
        await at_rest(world, price="48000")

    story(tell, **AMENDS, request_window_ms=0)


# ── Cancel and replace in one request ───────────────────────────────────────────────────────────────────────────────────────────────────────

@pytest.mark.proves("rule 10", "H13")
@pytest.mark.parametrize(("reason", "venue", "filled", "calls"), [
    ("the venue minds what fills meanwhile, and nothing has", {"replace": ReplaceKind.FILL_AWARE}, None, ["replace"]),
    ("something has filled already: one after the other", {"replace": ReplaceKind.FILL_AWARE}, "0.4", ["cancel", "submit"]),
    ("the venue does not mind: it would be too much (H13)", {"replace": ReplaceKind.NOT_FILL_AWARE}, None, ["cancel", "submit"]),
], ids=lambda value: value if isinstance(value, str) else "")
def test_rule_10_an_atomic_replace_only_where_it_is_fill_aware_and_nothing_is_filled(reason, venue, filled, calls):
    async def tell(world):
        if filled is not None:
            world.exchange.fill(the_order(world).client_order_id, filled)
            await until(lambda: world.status("a").filled_quantity > 0)
        world.exchange.calls.clear()
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: len(world.exchange.orders_by_id) == 2 and ready(world).status == "True")
        assert [call for call in world.exchange.calls if call in ("replace", "cancel", "submit")] == calls
        live = [order for order in world.exchange.orders_by_id.values() if not order.status.ended]
        assert [(order.price, order.quantity) for order in live] == [(Decimal(49000), 1 - Decimal(filled or 0))]

    story(tell, **venue)


@pytest.mark.proves("H13", "F13")
def test_h13_a_fill_during_an_atomic_replace_is_taken_off_the_replacement():
    async def tell(world):
        world.exchange.late_fill = "0.4"
        world.store.edit("a", a_spec(price="49000"))
        await until(lambda: len(world.exchange.orders_by_id) == 2 and ready(world).status == "True" and world.status("a").filled_quantity == Decimal("0.4"))
        await asyncio.sleep(30)
        assert [order.quantity for order in world.exchange.orders_by_id.values()] == [Decimal(1), Decimal("0.6")]

    story(tell, replace=ReplaceKind.FILL_AWARE)
