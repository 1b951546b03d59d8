"""What reads show of the engine's truth: all of it at once, or late, old, cut short, twice, or purged. Each read is a `View`, as of one moment.

Cancels, amendments and the check for duplicates are the engine's: no fault here touches them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from copy import copy
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.order_lists import ListReport
from exchange_kernel.exchanges.simulated.orders import Execution, ExecutionType, Order, Rejection, Report
from exchange_kernel.exchanges.simulated.symbols import Symbol

T = TypeVar("T")

LONGEST_LAG_MS = 60_000     # how far back a lagging read can look


@dataclass(slots=True)
class ReadFaults:
    """In force until they are lifted. Those of trades hold for trades from then on."""

    lag_ms: int = 0                     # every read comes from a replica that is behind by up to so much
    stale_ms: int = 0                   # lists are so old; lookups of one order are not
    keep: int | None = None             # lists end after so many entries, as if that were all
    purged_ms: int | None = None        # what ended longer ago is gone from lookups and lists
    trades_late_ms: int = 0
    trades_missing: float = 0.0         # probabilities, of each trade
    trades_duplicated: float = 0.0


class Visibility:
    """A listener of accounts, which remembers how orders looked for as long as a replica can lag."""

    def __init__(self, steady_ms: Callable[[], int], now_ms: Callable[[], int], delay_ms: int = 0, seed: int = 0) -> None:
        self.delay_ms = delay_ms
        self.faults = ReadFaults()
        self._steady_ms, self._now_ms = steady_ms, now_ms
        self._random = Random(seed)
        self._hidden_until: dict[Hashable, int] = {}
        self._missing: set[Hashable] = set()
        self._twice: set[Hashable] = set()
        self._looked: defaultdict[int, deque[tuple[int, Order]]] = defaultdict(deque)      # by order id, oldest first
        self._traded_at: dict[Hashable, int] = {}
        self._remembered: deque[tuple[int, int, Hashable | None]] = deque()     # when, of which order, and the trade

    def lookup(self) -> View:
        """What a question for one order sees."""
        return self._view(0)

    def listing(self) -> View:
        return self._view(self.faults.stale_ms)

    def _view(self, stale_ms: int) -> View:
        behind = stale_ms + (self._random.randint(0, self.faults.lag_ms) if self.faults.lag_ms else 0)
        return View(self, self._steady_ms() - behind if behind else None)

    def lift(self) -> None:
        """What was hidden shows at once."""
        self.faults = ReadFaults()
        for hidden in (self._hidden_until, self._missing, self._twice):
            hidden.clear()

    # ── What views ask ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def order(self, order: Order, as_of: int | None) -> Order | None:
        """The order as it looked then; None where it was not to be seen. What nothing is remembered of has not changed for that long."""
        if not self._shown(order.order_id) or self._purged(order):
            return None
        if as_of is None or (looked := self._looked.get(order.order_id)) is None:
            return order
        return next((seen for at, seen in reversed(looked) if at <= as_of), None)

    def copies(self, execution: Execution, as_of: int | None) -> int:
        """How often a list has this trade."""
        key = _key(execution)
        if key in self._missing or not self._shown(key) or (as_of is not None and self._traded_at.get(key, 0) > as_of):
            return 0
        if self.faults.purged_ms is not None and execution.time < self._now_ms() - self.faults.purged_ms:
            return 0
        return 2 if key in self._twice else 1

    def _purged(self, order: Order) -> bool:
        return self.faults.purged_ms is not None and not order.status.open and order.update_time < self._now_ms() - self.faults.purged_ms

    def _shown(self, key: Hashable) -> bool:
        until = self._hidden_until.get(key)
        if until is None:
            return True
        if self._steady_ms() < until:
            return False
        del self._hidden_until[key]
        return True

    # ── What the engine tells ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def reported(self, report: Report) -> None:
        now, order = self._steady_ms(), report.order
        self._looked[order.order_id].append((now, copy(order)))
        self._remembered.append((now, order.order_id, None if report.execution is None else _key(report.execution)))
        self._forget(now - LONGEST_LAG_MS)
        if report.kind is ExecutionType.NEW:
            if self.delay_ms and report.time == order.time:         # told again when it is triggered
                self._hidden_until[order.order_id] = now + self.delay_ms
        elif report.execution is not None:
            self._traded(report.execution, now)

    def _forget(self, before: int) -> None:
        """What an order looked like so long ago counts only until it looked otherwise, or that is as long ago."""
        while self._remembered and self._remembered[0][0] < before:
            _, order_id, trade = self._remembered.popleft()
            looked = self._looked.get(order_id, deque())
            while len(looked) > 1 and looked[1][0] < before:
                looked.popleft()
            if len(looked) == 1 and looked[0][0] < before:
                del self._looked[order_id]
            self._traded_at.pop(trade, None)

    def _traded(self, execution: Execution, now: int) -> None:
        key, faults = _key(execution), self.faults
        self._traded_at[key] = now
        if late_ms := max(self.delay_ms, faults.trades_late_ms):
            self._hidden_until[key] = now + late_ms
        if faults.trades_missing and self._random.random() < faults.trades_missing:
            self._missing.add(key)
        elif faults.trades_duplicated and self._random.random() < faults.trades_duplicated:
            self._twice.add(key)

    def rejected(self, rejection: Rejection) -> None:
        pass

    def list_reported(self, report: ListReport) -> None:
        pass

    def balances_changed(self, account: Account, assets: set[str], time: int) -> None:
        pass


@dataclass(frozen=True, slots=True)
class View:
    """What one read sees, as of a moment of the steady clock (ms) or, with None, of now."""

    visibility: Visibility
    as_of: int | None

    def order(self, order: Order | None) -> Order | None:
        return None if order is None else self.visibility.order(order, self.as_of)

    def open_orders(self, account: Account, symbol: Symbol | None = None) -> list[Order]:
        there = account.open.values() if self.as_of is None else (order for orders in account.orders.values() for order in orders)
        return self._cut([
            seen for order in there if (symbol is None or order.symbol == symbol) and (seen := self.order(order)) is not None and seen.status.open
        ])

    def orders(self, account: Account, symbol: Symbol) -> list[Order]:
        return self._cut([seen for order in account.orders[symbol.name] if (seen := self.order(order)) is not None])

    def trades(self, account: Account, symbol: Symbol) -> list[Execution]:
        return self._cut([
            trade for trade in account.executions[symbol.name] for _ in range(self.visibility.copies(trade, self.as_of))
        ])

    def _cut(self, found: list[T]) -> list[T]:
        return found[:self.visibility.faults.keep]


def _key(execution: Execution) -> Hashable:
    return execution.symbol.name, execution.trade_id, execution.order_id
