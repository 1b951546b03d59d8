"""The lag between the engine and what lookups show: an order, or a trade, that is accepted but not to be seen yet."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.order_lists import ListReport
from exchange_kernel.exchanges.simulated.orders import Execution, ExecutionType, Order, Rejection, Report


class Visibility:
    """A listener of accounts. Cancels, amendments and the check for duplicates are the engine's, and are not delayed."""

    def __init__(self, steady_ms: Callable[[], int], delay_ms: int = 0) -> None:
        self.delay_ms = delay_ms
        self._steady_ms = steady_ms
        self._hidden_until: dict[Hashable, int] = {}

    def shows(self, order: Order) -> bool:
        return not self._hidden_until or self._shown(order.order_id)

    def shows_trade(self, execution: Execution) -> bool:
        return not self._hidden_until or self._shown(_key(execution))

    def reveal(self) -> None:
        self._hidden_until.clear()

    def _shown(self, key: Hashable) -> bool:
        until = self._hidden_until.get(key)
        if until is None:
            return True
        if self._steady_ms() < until:
            return False
        del self._hidden_until[key]
        return True

    def reported(self, report: Report) -> None:
        if not self.delay_ms:
            return
        until = self._steady_ms() + self.delay_ms
        if report.kind is ExecutionType.NEW and report.time == report.order.time:       # told again when it is triggered
            self._hidden_until[report.order.order_id] = until
        elif report.execution is not None:
            self._hidden_until[_key(report.execution)] = until

    def rejected(self, rejection: Rejection) -> None:
        pass

    def list_reported(self, report: ListReport) -> None:
        pass

    def balances_changed(self, account: Account, assets: set[str], time: int) -> None:
        pass


def _key(execution: Execution) -> Hashable:
    return execution.symbol.name, execution.trade_id, execution.order_id
