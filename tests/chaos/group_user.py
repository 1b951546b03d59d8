"""The groups that the user makes, and what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from tests.chaos.verdict import ZERO, Order, filled_of

Body = dict[str, Any]


@dataclass
class GroupNote:
    """One OrderGroup, by its UID."""

    body: Body                              # as it was last asked for
    uid: str
    deleted: bool = False
    removed: set[str] = field(default_factory=set)      # members whose object somebody deleted
    canceled: set[str] = field(default_factory=set)     # members that somebody cancelled by themselves

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def deletion_policy(self) -> str:
        return str(self.body["spec"]["deletionPolicy"])

    @property
    def members(self) -> dict[str, Decimal]:
        """The quantity of each: it is never edited."""
        return {member["name"]: Decimal(member["quantity"]) for member in self.body["spec"]["members"]}

    @property
    def stops(self) -> list[str]:
        """The stop, and those that the group may add for it."""
        return ["stop", *(f"stop-{number}" for number in range(2, 10))] if self.entry is not None else [name for name in self.members if name == "stop"]

    @property
    def everything(self) -> dict[str, Decimal]:
        """The members and what the group may add, each with the most that it may be for."""
        members = self.members
        return members | {name: members["stop"] for name in self.stops}

    @property
    def entry(self) -> str | None:
        return "entry" if self.body["spec"]["mode"] == "Bracket" else None

    @property
    def stop_price(self) -> Decimal:
        return next((Decimal(member["triggerPrice"]) for member in self.body["spec"]["members"] if "triggerPrice" in member), ZERO)

    def position(self, orders: Mapping[str, list[Order]]) -> Decimal:
        """Of a Bracket: what its Entry opened and no exit has closed, base units; negative if they closed more."""
        return filled_of(orders["entry"]) - filled_of(orders["take"]) - filled_of([order for name in self.stops for order in orders[name]])

    def violated(self, orders: Mapping[str, list[Order]]) -> bool:
        """Whether more was filled than one of the two was for: no cancel could arrive in time."""
        if self.entry is not None:
            return self.position(orders) < 0
        return sum(filled_of(mine) > ZERO for mine in orders.values()) > 1


@dataclass(frozen=True)
class GroupMaker:
    """Prices come from where the market is, and quantities from what is usual there."""

    random: Random
    middle: Callable[[str], Decimal]
    quantity: Callable[[str], Decimal]
    ticks: Mapping[str, Decimal]            # the price grid of each symbol

    def new(self, name: str) -> Body:
        symbol, side = self.random.choice(list(self.ticks)), self.random.choice(["Buy", "Sell"])
        kind = self.random.choice(["list", "exits", "legs", "bracket", "bracket", "bracket"])
        quantity = self.quantity(symbol)
        exits = [self._take(symbol, side, quantity), self._stop(symbol, side, quantity)]
        spec: Body = {"mode": "OneCancelsOther", "members": exits}
        if kind == "legs":
            spec["members"] = [self._limit(name, symbol, side, self.quantity(symbol), self._away(0.0005, 0.02)) for name in ("first", "second")]
        elif kind == "bracket":
            other = "Sell" if side == "Buy" else "Buy"
            spec |= {"mode": "Bracket", "members": [{**self._limit("entry", symbol, other, quantity, self._away(-0.002, 0.002)), "role": "Entry"}, *exits]}
        if kind != "list":
            spec["nativePolicy"] = "Never"
        spec |= {"accountRef": {"name": "main"}, "deletionPolicy": self.random.choice(["CancelEntries", "CancelEntries", "CancelAll"])}
        return {"apiVersion": "exchange-kernel.io/v1alpha1", "kind": "OrderGroup", "metadata": {"name": name}, "spec": spec}

    def edited(self, body: Body) -> Body:
        """With another price of one member: an exit's nearer to the market or farther from it, never across it, nor across its Entry.

        Of a group that is not sent yet, an exit across its Entry is refused until somebody corrects it. There the edit changes nothing.
        """
        members = list(body["spec"]["members"])
        number = self.random.randrange(len(members))
        old = members[number]
        symbol, side, quantity = old["symbol"], old["side"], Decimal(old["quantity"])
        if old["name"] == "stop":
            members[number] = self._stop(symbol, side, quantity)
        elif old["name"] == "take":
            members[number] = self._take(symbol, side, quantity)
        else:
            members[number] = {**old, "price": self._limit("", symbol, side, quantity, self._away(-0.002, 0.02))["price"]}
        return {**body, "spec": {**body["spec"], "members": members}} if _in_order(members) else body

    def _take(self, symbol: str, side: str, quantity: Decimal) -> Body:
        """Near the middle now and then, where the market fills it, and always beyond the entry: a group whose exits would act at once is Denied."""
        return {**self._limit("take", symbol, side, quantity, self.random.choice([self._away(0.0025, 0.004), self._away(0.01, 0.04)])), "role": "TakeProfit"}

    def _stop(self, symbol: str, side: str, quantity: Decimal) -> Body:
        """Where the market goes if it goes against the position; with a little more for the price than for the trigger."""
        away = self.random.choice([self._away(0.0025, 0.004), self._away(0.01, 0.04)])
        return {"name": "stop", "role": "StopLoss", "symbol": symbol, "side": side, "type": "StopLimit", "quantity": str(quantity),
                "triggerPrice": self._price(symbol, side, -away), "price": self._price(symbol, side, -away - Decimal("0.002"))}

    def _limit(self, name: str, symbol: str, side: str, quantity: Decimal, away: Decimal) -> Body:
        return {"name": name, "symbol": symbol, "side": side, "type": "Limit", "quantity": str(quantity), "price": self._price(symbol, side, away)}

    def _away(self, least: float, most: float) -> Decimal:
        return Decimal(str(round(self.random.uniform(least, most), 6)))

    def _price(self, symbol: str, side: str, away: Decimal) -> str:
        """`away`: as a share of the middle, on the side on which an order rests."""
        return str((self.middle(symbol) * (1 + (away if side == "Sell" else -away))).quantize(self.ticks[symbol]))


def _in_order(members: list[Body]) -> bool:
    """Whether the stop and the take of a Bracket are on the two sides of its Entry, each on its own."""
    of = {member["name"]: member for member in members}
    if "entry" not in of:
        return True
    low, entry, high = Decimal(of["stop"]["triggerPrice"]), Decimal(of["entry"]["price"]), Decimal(of["take"]["price"])
    return low < entry < high if of["entry"]["side"] == "Buy" else low > entry > high
