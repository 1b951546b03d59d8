"""What users and venues do while the operator dies: each path of an order's life, as a timetable in virtual seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from exchange_kernel.api import AmendQuantity, OrderIntentStatus, ReplaceKind
from exchange_kernel.core.answers import Accepted, Duplicate, OrderStatus, Replaced, Unknown
from exchange_kernel.core.identity import order_id
from tests.builders import a_market, a_spec, a_venue
from tests.scripted import OWNER, World

Step = Callable[[World], None]


@dataclass(frozen=True)
class Scenario:
    name: str
    steps: tuple[tuple[float, Step], ...]
    target: str = "1"                               # the largest quantity ever wanted
    account: dict[str, str] = field(default_factory=dict)
    prepare: Step = lambda world: None


def create(**spec) -> Step:
    return lambda world: world.store.create("a", a_spec(**spec))


def create_anew(**spec) -> Step:
    """The same manifest once more: another object, with another UID."""
    return lambda world: world.store.create("b", a_spec(**spec))


def edit(**spec) -> Step:
    return lambda world: world.store.edit("a", a_spec(**spec)) if world.store.get("a") and world.status("a").completion_time is None else None


def delete(world: World) -> None:
    if world.store.get("a") is not None:
        world.store.delete("a")


def fill(quantity: str, *, tell: bool = True) -> Step:
    """The market takes so much of what is live, or all of it if that is less."""

    def step(world: World) -> None:
        for order in list(world.exchange.orders_by_id.values()):
            if not order.status.ended:
                left = order.quantity - order.filled_quantity
                world.exchange.fill(order.client_order_id, str(min(Decimal(quantity), left)), tell=tell)

    return step


def ended_by_the_exchange(world: World) -> None:
    for order in list(world.exchange.orders_by_id.values()):
        if not order.status.ended:
            world.exchange._set(replace(order, status=OrderStatus.CANCELED, update_time_ms=world.exchange.now_ms()))


def reachable(answer: bool) -> Step:
    return lambda world: setattr(world.exchange, "reachable", answer)


def replies(reply) -> Step:
    return lambda world: setattr(world.exchange, "reply", reply)


def late_fill(quantity: str) -> Step:
    return lambda world: setattr(world.exchange, "late_fill", quantity)


def trades_lag(seconds: int) -> Step:
    return lambda world: setattr(world.exchange, "trades_lag_ms", seconds * 1000)


def budget(seconds: float) -> Step:
    return lambda world: setattr(world.exchange, "budget_s", seconds)


def flight(seconds: float) -> Step:
    return lambda world: setattr(world.exchange, "flight_s", seconds)


def at_once(world: World) -> None:
    world.exchange.fills_at_once = True


def cancels_take(seconds: float) -> Step:
    return lambda world: setattr(world.exchange, "cancel_takes_s", seconds)


def takes_a_part(quantity: str) -> Step:
    """What an immediate order gets at once; the exchange ends the rest."""

    def step(world: World) -> None:
        venue = world.exchange

        def immediate(order):
            fill(quantity, tell=False)(world)
            ended = venue._set(replace(venue.orders_by_id[order.exchange_order_id], status=OrderStatus.EXPIRED), tell=False)
            return Accepted(ended, tuple(venue.trades_of[order.exchange_order_id]))

        venue.reply = immediate

    return step


def force_delete(world: World) -> None:
    if world.store.get("a") is not None:
        world.store._remove("a")


def amends(reply=None) -> Step:
    def step(world: World) -> None:
        world.exchange.capabilities = a_venue(amend=AmendQuantity.TOTAL)
        world.exchange.amend_reply = reply

    return step


def replaces(reply=None) -> Step:
    def step(world: World) -> None:
        world.exchange.capabilities = a_venue(replace=ReplaceKind.FILL_AWARE)
        world.exchange.replace_reply = reply

    return step


def fills_one_by_one(number: int, *, lost: int) -> Step:
    """So many executions of a hundredth each, of which one is told to nobody until `found`."""

    def step(world: World) -> None:
        world.exchange.lost_trades.add(str(100 + lost))
        for _ in range(number):
            fill("0.01", tell=False)(world)

    return step


def found(world: World) -> None:
    world.exchange.lost_trades.clear()


def readings(*, answered: bool = True, take_s: float = 0.0) -> Step:
    """How readings go; sends and cancels are not touched by it."""

    def step(world: World) -> None:
        world.exchange.readable, world.exchange.reads_take_s = answered, take_s

    return step


def wipe(world: World) -> None:
    """Somebody writes an empty status over ours."""
    if (record := world.store.get("a")) is not None:
        world.store._put(replace(record, status=OrderIntentStatus(), resource_version=world.store._next()))


def keep(world: World) -> None:
    """A backup is made of the status."""
    world.backup = world.store.get("a").status


def restore(world: World) -> None:
    """The backup is written over what there is by now."""
    if (record := world.store.get("a")) is not None:
        world.store._put(replace(record, status=world.backup, resource_version=world.store._next()))


def steps(quantity: str, price: str) -> Step:
    """The exchange gives the market other steps."""
    return lambda world: setattr(world.exchange, "market", a_market(quantity_step=Decimal(quantity), price_step=Decimal(price), min_quantity=Decimal(quantity)))


def forget(world: World) -> None:
    """All orders end, long enough ago that the exchange shows them no more."""
    for order in list(world.exchange.orders_by_id.values()):
        ended = order if order.status.ended else replace(order, status=OrderStatus.CANCELED)
        world.exchange.orders_by_id[order.exchange_order_id] = ended
        world.exchange.forgotten.add(order.exchange_order_id)


def remembers_for(seconds: int) -> Step:
    return lambda world: setattr(world.exchange, "capabilities", a_venue(retention_ms=seconds * 1000))


def told_by_a_person(outcome: str) -> Step:
    return lambda world: world.store.annotate("a", json.dumps({"clientOrderId": order_id(OWNER, uid="a", attempt=1), "outcome": outcome}))


WRITE_AHEAD = {"sendPolicy": "WriteAhead"}
KEYED = {"idempotencyKey": "entry-7", "submitDeadlineTime": "2027-06-01T00:00:00Z"}

SCENARIOS = (
    Scenario("sent first, fills", ((10, create()), (20, fill("0.4")), (40, fill("1")))),
    Scenario("written ahead, fills", ((10, create()), (20, fill("0.4")), (40, fill("1"))), account=WRITE_AHEAD),
    Scenario("market order", ((10, create(type="Market", price=None)),), prepare=at_once),
    Scenario("market order, written ahead", ((10, create(type="Market", price=None)),), account=WRITE_AHEAD, prepare=at_once),
    Scenario("fills that no event tells of", ((10, create()), (20, fill("0.4", tell=False)), (40, fill("1", tell=False)))),
    Scenario("cancel", ((10, create()), (20, fill("0.3")), (30, edit(desiredState="Canceled")))),
    Scenario("cancel against a fill", ((10, create()), (30, edit(desiredState="Canceled")), (30, fill("1", tell=False)))),
    Scenario("cancel at once", ((10, create()), (10.01, edit(desiredState="Canceled")))),
    Scenario("delete", ((10, create()), (20, fill("0.3")), (30, delete))),
    Scenario("delete at once", ((10, create()), (10.01, delete)), account=WRITE_AHEAD),
    Scenario("replace", ((10, create()), (20, fill("0.25")), (30, edit(price="49000")), (30.5, fill("0.25")), (31, edit(price="48000", quantity="2")), (60, fill("0.5"))), target="2"),
    Scenario("replace, and a fill that the cancel's answer does not know", ((10, create()), (30, edit(price="49000")), (60, fill("1"))), prepare=late_fill("0.25")),
    Scenario("replace, and trades that come long after the totals", ((10, create()), (20, fill("0.25", tell=False)), (30, edit(price="49000")), (90, fill("1"))), prepare=trades_lag(15)),
    Scenario("replace, then cancel meanwhile", ((10, create()), (30, edit(price="49000")), (30.3, edit(price="49000", desiredState="Canceled")))),
    Scenario("replace with less than has filled", ((10, create()), (20, fill("0.6")), (30, edit(quantity="0.5")))),
    Scenario("an answer that is none", ((10, create()), (60, fill("1"))), prepare=replies(lambda order: Unknown("garbage"))),
    Scenario("the id exists already", ((10, create()), (60, fill("1"))), prepare=replies(lambda order: Duplicate("-2010"))),
    Scenario("a silent exchange", ((10, create()), (9, reachable(False)), (25, reachable(True)), (60, fill("1")))),
    Scenario("amend", ((10, create()), (20, fill("0.25")), (30, edit(price="49000")), (30.5, fill("0.25")), (31, edit(price="48000", quantity="2")), (60, fill("0.5"))), target="2", prepare=amends()),
    Scenario("amend, and an answer that is none", ((10, create()), (30, edit(price="49000", quantity="2")), (60, fill("0.5"))), target="2", prepare=amends(lambda order: Unknown("garbage"))),
    Scenario("amend, then cancel meanwhile", ((10, create()), (30, edit(price="49000")), (30.02, edit(price="49000", desiredState="Canceled"))), prepare=amends()),
    Scenario("replace in one request", ((10, create()), (30, edit(price="49000")), (60, edit(price="48000", quantity="2")), (90, fill("0.5"))), target="2", prepare=replaces()),
    Scenario("replace in one request, and answers that are none", ((10, create()), (30, edit(price="49000")), (60, fill("0.5"))),
             prepare=replaces(lambda old, new: Replaced(Unknown("garbage"), Unknown("garbage")))),
    Scenario("replace in one request against a fill", ((10, create()), (29, late_fill("0.25")), (30, edit(price="49000")), (60, fill("1"))), prepare=replaces()),
    Scenario("with a key", ((10, create(**KEYED)), (40, fill("0.4")), (60, edit(price="49000", **KEYED)), (90, fill("1")))),
    Scenario("deleted while the rate budget holds the send", ((10, create()), (13, delete)), prepare=budget(6)),
    Scenario("suspended while the rate budget holds the send", ((10, create()), (13, edit(suspend=True)), (40, edit()), (70, fill("1"))), prepare=budget(6)),
    Scenario("requests that arrive after their sender died", ((10, create()), (30, edit(price="49000")), (60, fill("1"))), prepare=flight(2)),
    Scenario("cancel while the outcome is unknown", ((10, create()), (11, edit(desiredState="Canceled"))), prepare=replies(lambda order: Unknown("garbage"))),
    Scenario("delete while the exchange is silent", ((10, create()), (20, reachable(False)), (21, delete), (27, reachable(True)))),
    Scenario("ended by the exchange", ((10, create()), (20, fill("0.4")), (30, ended_by_the_exchange))),
    Scenario("suspended while the outcome is unknown", ((10, create()), (11, edit(suspend=True)), (40, edit()), (70, fill("1"))), prepare=replies(lambda order: Unknown("garbage"))),
    Scenario("a cancel that the exchange carries out later", ((10, create()), (30, edit(desiredState="Canceled")), (32, fill("0.3", tell=False))), prepare=cancels_take(4)),
    Scenario("an immediate order with a remainder", ((10, create(timeInForce="IOC")),), prepare=takes_a_part("0.4")),
    Scenario("deleted past its finalizer", ((10, create()), (20, fill("0.3")), (30, force_delete)), account={"orphanPolicy": "Cancel"}),
    Scenario("a key's object deleted and made again", ((10, create(**KEYED, deletionPolicy="Orphan")), (30, fill("0.4")), (40, force_delete), (41, create_anew(**KEYED)), (70, fill("1")))),
    Scenario("twenty-five executions and one that is told late", ((10, create()), (20, fills_one_by_one(25, lost=3)), (40, found), (50, fill("1")))),
    Scenario("cancel while readings fail", ((10, create()), (20, fill("0.2", tell=False)), (25, readings(answered=False)), (30, edit(desiredState="Canceled")), (60, readings()))),
    Scenario("delete while readings hang", ((10, create()), (20, fill("0.2", tell=False)), (25, readings(take_s=8)), (30, delete), (60, readings()))),
    Scenario("a status that is wiped", ((10, create()), (20, fill("0.2")), (30, edit(price="49000")), (40, wipe), (60, fill("1")))),
    Scenario("a status that is restored two replacements late", ((10, create()), (20, keep), (30, edit(price="49000")), (40, edit(price="48000")), (55, restore), (75, fill("1")))),
    Scenario("a status that is restored, and a change after it", ((10, create()), (20, keep), (30, edit(price="49000")), (45, restore), (46, edit(price="48000")), (75, fill("1")))),
    Scenario("a market whose steps change", ((10, create(price="50000.01")), (20, steps("0.001", "0.1")), (30, fill("0.4")), (50, edit(price="49000.04")), (70, fill("1")))),
    Scenario("an order that the exchange forgot", ((10, create()), (30, forget), (90, told_by_a_person("Canceled"))), prepare=remembers_for(15)),
    Scenario("refused", ((10, create(quantity="2000")),), target="2000"),
)
