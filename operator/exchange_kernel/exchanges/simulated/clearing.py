"""What every command ends in: balances that move, orders that end, and listeners that are told. Which orders trade is the engine's to say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from itertools import count

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.order_lists import ListReport, ListStatus, OrderList
from exchange_kernel.exchanges.simulated.orders import Execution, ExecutionType, NewOrder, Order, Rejection, Report, Side, Status
from exchange_kernel.exchanges.simulated.symbols import DECIMALS

SMALLEST = Decimal(1).scaleb(-DECIMALS)
ONE = Decimal(1)

#: Of a commission, where it is taken in the account's fee asset: the venue's 25 % off for BNB.
FEE_ASSET_PAYS = Decimal("0.75")


class Clearing:
    def __init__(self, now: Callable[[], int], *, maker_fee: Decimal, taker_fee: Decimal, ended: Callable[[Order], None],
                 price: Callable[[str, str], Decimal | None]) -> None:
        """`ended` is called when an order has just ended, however, after its report. `price`: of one asset in another, if some market has it."""
        self.fees: defaultdict[str, Decimal] = defaultdict(Decimal)     # what the venue earned, by asset
        self.maker_fee, self.taker_fee = maker_fee, taker_fee
        self._now = now
        self._ended = ended
        self._price = price
        self._report_ids = count(1)
        self._touched: defaultdict[Account, set[str]] = defaultdict(set)

    # ── Money ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def lock(self, order: Order, amount: Decimal) -> None:
        order.account.balances[order.gives].lock(amount)
        order.locked += amount
        self._touched[order.account].add(order.gives)

    def unlock(self, order: Order, amount: Decimal) -> None:
        if amount:
            order.locked -= amount
            order.account.balances[order.gives].unlock(amount)
            self._touched[order.account].add(order.gives)

    def execute(self, order: Order, trade_id: int, price: Decimal, quantity: Decimal, now: int, *, is_maker: bool) -> Execution:
        """One side of a trade."""
        account, buys, quote_quantity = order.account, order.side is Side.BUY, price * quantity
        received, given = (quantity, quote_quantity) if buys else (quote_quantity, quantity)
        fee_asset, commission = self._commission(account, order.receives, received * (self.maker_fee if is_maker else self.taker_fee))
        released = given if order.type.at_market else order.reserve(quantity)
        order.locked -= released
        giving = account.balances[order.gives]
        giving.locked -= released
        giving.free += released - given         # a better price than its limit leaves some over
        account.balances[order.receives].free += received
        account.balances[fee_asset].free -= commission
        self.fees[fee_asset] += commission
        order.executed += quantity
        order.cumulative_quote += quote_quantity
        order.update_time = now
        order.status = Status.PARTIALLY_FILLED if order.remaining else Status.FILLED
        execution = Execution(
            symbol=order.symbol, trade_id=trade_id, order_id=order.order_id, client_order_id=order.client_order_id, price=price, quantity=quantity,
            quote_quantity=quote_quantity, commission=commission, commission_asset=fee_asset, time=now, is_buyer=buys, is_maker=is_maker,
            order_list_id=order.list_id,
        )
        order.executions.append(execution)
        account.executed(execution)
        self._touched[account].update((order.gives, order.receives, fee_asset))
        if account.order_limit is not None and order.executed == quantity:
            account.order_limit.filled()
        filled = order.status is Status.FILLED
        if filled:
            self.unlock(order, order.locked)
            account.close(order)
        self.report(ExecutionType.TRADE, order, execution=execution)
        if filled:
            self._ended(order)
        return execution

    def take_back(self, order: Order, execution: Execution) -> None:
        """One side of a trade. An order that was filled has ended all the same: what is missing is not traded again."""
        account, buys = order.account, order.side is Side.BUY
        received, given = (execution.quantity, execution.quote_quantity) if buys else (execution.quote_quantity, execution.quantity)
        account.balances[order.receives].free -= received
        account.balances[order.gives].free += given
        account.balances[execution.commission_asset].free += execution.commission
        self.fees[execution.commission_asset] -= execution.commission
        account.executions[order.symbol.name].remove(execution)
        order.executions.remove(execution)
        order.executed -= execution.quantity
        order.cumulative_quote -= execution.quote_quantity
        order.update_time = self._now()
        if order.status is Status.FILLED:
            order.status = Status.CANCELED
        elif order.status.open:
            order.status = Status.PARTIALLY_FILLED if order.executed else Status.NEW
        self._touched[account].update((order.gives, order.receives, execution.commission_asset))

    def _commission(self, account: Account, received: str, amount: Decimal) -> tuple[str, Decimal]:
        """The asset it is taken in, and how much. The account's own fee asset has a discount, if it has enough of that and there is a price for it."""
        asset = account.fee_asset
        if asset is not None and (price := ONE if asset == received else self._price(received, asset)) is not None:
            discounted = (amount * FEE_ASSET_PAYS * price).quantize(SMALLEST, rounding=ROUND_DOWN)
            if discounted <= account.balances[asset].free:
                return asset, discounted
        return received, amount.quantize(SMALLEST, rounding=ROUND_DOWN)

    def end(self, order: Order, status: Status, kind: ExecutionType, *, name: str | None = None, reason: str | None = None) -> None:
        order.status, order.expiry_reason, order.update_time = status, reason, self._now()
        self.unlock(order, order.locked)
        order.account.close(order)
        self.report(kind, order, name=name)
        self._ended(order)

    # ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def report(self, kind: ExecutionType, order: Order, *, execution: Execution | None = None, name: str | None = None, original: str = "") -> int:
        report_id = next(self._report_ids)
        if listeners := order.account.listeners:
            report = Report(
                kind=kind, order=order, report_id=report_id, time=order.update_time, execution=execution,
                client_order_id=name or order.client_order_id, original=order.client_order_id if name else original,
            )
            for listener in listeners:
                listener.reported(report)
        return report_id

    def report_list(self, order_list: OrderList, status: ListStatus) -> None:
        report = ListReport(order_list=order_list, status=status, time=self._now())
        for listener in order_list.account.listeners:
            listener.list_reported(report)

    def reject(self, account: Account, new: NewOrder, reason: str) -> None:
        rejection = Rejection(new, next(self._report_ids), self._now(), reason)
        for listener in account.listeners:
            listener.rejected(rejection)

    def tell_balances(self) -> None:
        """Once a command, after its reports."""
        now = self._now()
        for account, assets in self._touched.items():
            account.updated = now
            for listener in account.listeners:
                listener.balances_changed(account, assets, now)
        self._touched.clear()
