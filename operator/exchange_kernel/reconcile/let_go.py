"""Orders that no intent follows any more: finished and let go, left behind, or of an intent that is gone. What still fills of them is not lost (rule 11)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from exchange_kernel.core.answers import ExchangeOrder, Trade
from exchange_kernel.core.money import ZERO, add, subtract

LIMIT = 20_000  # orders remembered; the oldest is forgotten first


@dataclass(frozen=True, slots=True)
class UnattributedFill:
    """Executions of an order of ours that no intent's status tells."""

    account: str  # UID of the ExchangeAccount
    order: ExchangeOrder
    trades: tuple[Trade, ...]  # those that the report named
    quantity: Decimal  # by how much the order's total grew
    executions: int  # how many are known: a total that grew without a trade id counts as one


@dataclass(slots=True)
class _Order:
    account: str
    totals: dict[str, Decimal]  # filled and told, by exchange order id
    whole: bool  # followed by this process until it was let go: nothing of it can have been counted by another


class LetGo:
    """A bounded record of them with the totals that were told. Each execution is counted once: by the order's cumulative total, which never falls."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._orders: OrderedDict[str, _Order] = OrderedDict()

    def __contains__(self, client_order_id: str) -> bool:
        return client_order_id in self._orders

    def add(self, account: str, client_order_id: str, told: Mapping[str, Decimal], *, whole: bool = False) -> None:
        """From now on nothing follows this id. `told`: what has been told of its orders, by exchange order id; of others their next report tells it."""
        known = self._orders.setdefault(client_order_id, _Order(account, {}, whole))
        for exchange_order_id, total in told.items():
            known.totals[exchange_order_id] = max(total, known.totals.get(exchange_order_id, ZERO))
        self._orders.move_to_end(client_order_id)
        if len(self._orders) > self._limit:
            self._orders.popitem(last=False)

    def take_back(self, client_order_id: str) -> None:
        """An intent follows it again."""
        self._orders.pop(client_order_id, None)

    def report(self, order: ExchangeOrder, trades: tuple[Trade, ...]) -> UnattributedFill | None:
        """What is new in a report of one of them, in any order of arrival."""
        known, total, named = self._orders[order.client_order_id], order.filled_quantity, add(*(trade.quantity for trade in trades))
        before = known.totals.get(order.exchange_order_id, ZERO if known.whole else max(ZERO, subtract(total, named)))
        known.totals[order.exchange_order_id] = max(before, total)
        grown = subtract(total, before)
        if grown <= 0:
            return None
        # Between what was told and these trades there is more. Another process may have counted that, unless the order was ours until now.
        unnamed = grown > named and (known.whole or not trades)
        executions = (len(trades) if grown >= named else 1) + (1 if unnamed else 0)
        return UnattributedFill(known.account, order, trades, grown, executions)
