"""Orders that hang together: one cancels the other (OCO), one triggers the other (OTO), or both (OTOCO). Words are Binance's (enums.md).

The nouns only: what the orders of a list mean for each other is in `contingencies.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from exchange_kernel.exchanges.simulated.orders import NewOrder, Order
from exchange_kernel.exchanges.simulated.symbols import Symbol

if TYPE_CHECKING:
    from exchange_kernel.exchanges.simulated.accounts import Account


class Contingency(StrEnum):
    OCO = "OCO"
    OTO = "OTO"             # an OTOCO too


class ListStatus(StrEnum):
    """What an event or an answer about a list means."""

    EXEC_STARTED = "EXEC_STARTED"
    UPDATED = "UPDATED"     # an order in it has another client id
    ALL_DONE = "ALL_DONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrderList:
    """A list as it is asked for: an OCO has no working order and two others, an OTO has one pending order and an OTOCO two."""

    symbol: Symbol
    working: NewOrder | None
    others: tuple[NewOrder, ...]
    client_order_id: str | None = None      # of the list; the engine names it if nobody did

    @property
    def contingency(self) -> Contingency:
        return Contingency.OCO if self.working is None else Contingency.OTO

    @property
    def legs(self) -> tuple[NewOrder, ...]:
        return self.others if self.working is None else (self.working, *self.others)


@dataclass(slots=True, eq=False, kw_only=True)
class OrderList:
    """A list that the engine accepted, as it stands."""

    account: Account
    symbol: Symbol
    list_id: int                    # ascends over all symbols
    client_order_id: str
    contingency: Contingency
    time: int                       # accepted, ms
    orders: list[Order] = field(default_factory=list)
    broken: bool = False            # a fault: one of a pair no longer ends the other

    @property
    def working(self) -> Order | None:
        return self.orders[0] if self.contingency is Contingency.OTO else None

    @property
    def others(self) -> list[Order]:
        """The pair of an OCO, or what the working order triggers."""
        return self.orders[1:] if self.contingency is Contingency.OTO else self.orders

    @property
    def open(self) -> bool:
        return any(order.status.open for order in self.orders)

    def sibling(self, order: Order) -> Order | None:
        """The other order of its pair, while it is open."""
        pair = self.others
        if len(pair) == 2 and order in pair:
            other = pair[1 - pair.index(order)]
            return other if other.status.open else None
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListReport:
    """Something that has just happened to a list. It goes on changing: read it at once."""

    order_list: OrderList
    status: ListStatus
    time: int
