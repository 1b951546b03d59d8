"""An account at the venue: its balances with what is locked, its open orders, and its history."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from exchange_kernel.exchanges.simulated.errors import insufficient_balance
from exchange_kernel.exchanges.simulated.orders import ZERO, Execution, Listener, Order, Prevented
from exchange_kernel.exchanges.simulated.symbols import Symbol

if TYPE_CHECKING:
    from exchange_kernel.exchanges.simulated.limits import OrderLimit
    from exchange_kernel.exchanges.simulated.order_lists import OrderList


@dataclass(slots=True)
class Balance:
    free: Decimal = ZERO
    locked: Decimal = ZERO

    def lock(self, amount: Decimal) -> None:
        if amount > self.free:
            raise insufficient_balance()
        self.free -= amount
        self.locked += amount

    def unlock(self, amount: Decimal) -> None:
        self.locked -= amount
        self.free += amount


class Account:
    """`keeps_history` is off for the venue's own accounts, whose quotes come and go by the thousand, and at any price."""

    def __init__(self, uid: int, balances: Mapping[str, Decimal], *, keeps_history: bool = True) -> None:
        self.uid = uid
        self.is_house = not keeps_history
        self.fee_asset: str | None = None       # pays commissions where it can; None: each from what its order received
        self.balances: defaultdict[str, Balance] = defaultdict(Balance, {asset: Balance(amount) for asset, amount in balances.items()})
        self.order_limit: OrderLimit | None = None
        self.updated = 0
        self.open: dict[int, Order] = {}
        self.orders: defaultdict[str, list[Order]] = defaultdict(list)              # by symbol, by order id
        self.executions: defaultdict[str, list[Execution]] = defaultdict(list)      # by symbol, by trade id
        self.open_counts: Counter[str] = Counter()          # by symbol; of them
        self.algo_counts: Counter[str] = Counter()          # … those of contingent types
        self.open_lists: dict[int, OrderList] = {}
        self.lists: list[OrderList] = []        # by list id
        self.prevented: list[Prevented] = []    # trades with itself that were not made
        self.listeners: list[Listener] = []
        self.reuses_ids = False         # a fault: an open order's id is no obstacle to a second one
        self._keeps_history = keeps_history
        self._open_by_client_id: dict[str, Order] = {}
        self._latest_by_client_id: dict[tuple[str, str], Order] = {}
        self._by_id: dict[int, Order] = {}

    def accept(self, order: Order) -> None:
        self.open[order.order_id] = order
        self.open_counts[order.symbol.name] += 1
        self.algo_counts[order.symbol.name] += order.type.contingent
        self._open_by_client_id[order.client_order_id] = order
        if self._keeps_history:
            self.orders[order.symbol.name].append(order)
            self._by_id[order.order_id] = order
            self._latest_by_client_id[order.symbol.name, order.client_order_id] = order

    def accept_list(self, order_list: OrderList) -> None:
        self.open_lists[order_list.list_id] = order_list
        if self._keeps_history:
            self.lists.append(order_list)

    def close_list(self, order_list: OrderList) -> None:
        del self.open_lists[order_list.list_id]

    def has_open_list(self, client_order_id: str) -> bool:
        return any(order_list.client_order_id == client_order_id for order_list in self.open_lists.values())

    def rename(self, order: Order, client_order_id: str) -> None:
        self._open_by_client_id.pop(order.client_order_id, None)        # a second one of that id may have taken it along
        if self._keeps_history:
            self._latest_by_client_id.pop((order.symbol.name, order.client_order_id), None)
            self._latest_by_client_id[order.symbol.name, client_order_id] = order
        order.client_order_id = client_order_id
        self._open_by_client_id[client_order_id] = order

    def executed(self, execution: Execution) -> None:
        if self._keeps_history:
            self.executions[execution.symbol.name].append(execution)

    def close(self, order: Order) -> None:
        del self.open[order.order_id]
        self.open_counts[order.symbol.name] -= 1
        self.algo_counts[order.symbol.name] -= order.type.contingent
        if self._open_by_client_id.get(order.client_order_id) is order:         # and not a second one of that id
            del self._open_by_client_id[order.client_order_id]

    def has_open(self, client_order_id: str) -> bool:
        return client_order_id in self._open_by_client_id and not self.reuses_ids

    def find_open(self, symbol: Symbol, order_id: int | None, client_order_id: str | None) -> Order | None:
        """By the order id where it is given, and then under the client id if that is given too. [rest-api.md, Cancel order, Notes]"""
        if order_id is None:
            order = None if client_order_id is None else self._open_by_client_id.get(client_order_id)
        else:
            order = self.open.get(order_id)
            if order is not None and client_order_id not in (None, order.client_order_id):
                return None
        return order if order is not None and order.symbol == symbol else None

    def find(self, symbol: Symbol, order_id: int | None, client_order_id: str | None) -> Order | None:
        """Of any age. By a client id that was used again: the latest order that had it."""
        if order_id is None:
            return None if client_order_id is None else self._latest_by_client_id.get((symbol.name, client_order_id))
        order = self._by_id.get(order_id)
        return order if order is not None and order.symbol == symbol else None

    def find_list(self, list_id: int | None, client_order_id: str | None, *, open_only: bool = False) -> OrderList | None:
        """By its id where that is given, and then under the client id if that is given too. By a client id alone: the latest that had it."""
        for order_list in reversed(list(self.open_lists.values()) if open_only else self.lists):
            if list_id in (None, order_list.list_id) and client_order_id in (None, order_list.client_order_id):
                return order_list
        return None
