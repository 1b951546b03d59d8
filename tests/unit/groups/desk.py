"""Groups of a perpetual on the scripted exchange: what tests of groups begin with."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from exchange_kernel.api import OrderGroupSpec
from tests.builders import a_market, a_venue
from tests.scripted import World, until

PERPETUAL = a_market(contract_size=Decimal("0.001"), quantity_step=Decimal(1), min_quantity=Decimal(1), min_notional=None)
VENUE = a_venue(
    order_types=frozenset({"Market", "Limit", "StopMarket", "StopLimit", "TakeProfitMarket", "TakeProfitLimit"}), trigger_prices=frozenset({"Last"}), reduce_only=True,
)


SPOT = a_market(quantity_step=Decimal(1), min_quantity=Decimal(1), min_notional=None)
LISTS = frozenset({"OneCancelsOther", "OneTriggersOther", "Bracket"})


def a_member(name: str, role: str = "Leg", **changes: Any) -> dict[str, Any]:
    types = {"StopLoss": {"type": "StopMarket", "triggerPrice": "45000"}, "Entry": {"side": "Buy", "type": "Limit", "price": "50000"}}
    return {"name": name, "role": role, "symbol": "BTC/USDT", "side": "Sell", "quantity": "10", **types.get(role, {"type": "Limit", "price": "55000"}), **changes}


def a_group(mode: str, *members: dict[str, Any], **changes: Any) -> OrderGroupSpec:
    return OrderGroupSpec.model_validate({"accountRef": {"name": "main"}, "mode": mode, "members": list(members), **changes})


def an_oco(**changes: Any) -> OrderGroupSpec:
    return a_group("OneCancelsOther", a_member("take"), a_member("stop", "StopLoss"), **changes)


def a_bracket(**changes: Any) -> OrderGroupSpec:
    return a_group("Bracket", a_member("entry", "Entry"), a_member("take", "TakeProfit"), a_member("stop", "StopLoss"), **changes)


class Groups:
    """What is asked of groups again and again, in any world that has an exchange, a store of intents and one of groups."""

    exchange: Any
    store: Any
    groups: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.exchange.market, self.exchange.capabilities = PERPETUAL, VENUE

    def on_spot(self) -> None:
        """The account is on a spot venue that keeps lists of orders itself."""
        self.exchange.market, self.exchange.capabilities = SPOT, replace(VENUE, native_groups=LISTS, reduce_only=False)

    def place(self, spec: OrderGroupSpec, uid: str = "pair") -> None:
        self.groups.create(uid, spec)

    def group(self, uid: str = "pair"):
        return self.groups.get(uid)

    def intent(self, member: str, group: str = "pair"):
        return self.store.named("default", f"{group}-{member}")

    def state(self, member: str) -> str | None:
        found = self.intent(member)
        return str(found.status.state) if found is not None else None

    def order(self, member: str):
        """The member's newest order at the exchange."""
        found = self.exchange.named(self.intent(member).status.client_order_id)
        return found[-1] if found else None

    def fill(self, member: str, quantity: str, **options: Any) -> None:
        self.exchange.fill(self.intent(member).status.client_order_id, quantity, **options)

    def condition(self, kind: str, uid: str = "pair") -> tuple[str, str] | None:
        return next(((str(one.status), one.reason) for one in self.group(uid).status.conditions if one.type == kind), None)

    def live(self) -> set[str]:
        """The members of which an order works at the exchange."""
        names = {attempt.client_order_id: record.spec.group_ref.member for record in self.store.of_account("default", "main") for attempt in record.attempts}
        return {names[order.client_order_id] for order in self.exchange.orders_by_id.values() if not order.status.ended}

    async def settle(self, *states: str, **members: str) -> None:
        await until(lambda: all(self.intent(name) is not None and self.state(name) == state for name, state in members.items()))

    async def open_position(self, spec: OrderGroupSpec, filled: str, *exits: str) -> None:
        """Place the group, fill so much of its Entry, and wait until these exits work."""
        self.place(spec)
        await self.settle(entry="Open")
        self.fill("entry", filled)
        await self.settle(**dict.fromkeys(exits, "Open"))

    async def finished(self, uid: str = "pair") -> None:
        await until(lambda: self.group(uid).finished)


class GroupWorld(Groups, World):
    """One process after the other."""


@asynccontextmanager
async def a_group_world(**account_spec):
    world = GroupWorld(**account_spec)
    try:
        yield world
    finally:
        if world.desk is not None:
            await world.desk.stop()
