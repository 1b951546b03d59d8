"""An account of the perpetual venue: its money, its positions, its orders, and how much margin they leave.

One model of margin: cross. All positions and open orders of an account share its balance, at one leverage for each contract:

    available = balance + unrealised PnL at the mark − (position values at the mark + what open orders may still add, at their prices) ÷ leverage

An order that is reduce-only adds nothing; others add what goes beyond the position they would close. Nothing is liquidated: available may become negative.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal

from exchange_kernel.exchanges.simulated.orders import ZERO, Side
from exchange_kernel.exchanges.simulated.perpetual.contracts import Contract
from exchange_kernel.exchanges.simulated.perpetual.errors import orders_pending, positions_held
from exchange_kernel.exchanges.simulated.perpetual.orders import Execution, Order, Slot
from exchange_kernel.exchanges.simulated.perpetual.positions import Position

DEFAULT_LEVERAGE = 10

#: The mark price of a contract.
Marks = Callable[[Contract], Decimal]


class PerpetualAccount:
    """`house`: one of the venue's own, which keeps no history and can afford anything."""

    def __init__(self, uid: int, balance: Decimal, *, house: bool = False) -> None:
        self.uid = uid
        self.balance = balance              # quote: what was paid in, realised and charged
        self.dual_mode = False
        self.leverage: defaultdict[str, int] = defaultdict(lambda: DEFAULT_LEVERAGE)
        self.positions: dict[tuple[str, Slot], Position] = {}
        self.open: dict[int, Order] = {}
        self.orders: dict[int, Order] = {}
        self.executions: list[Execution] = []
        self.house = house

    def accept(self, order: Order) -> None:
        self.open[order.order_id] = order
        if not self.house:
            self.orders[order.order_id] = order

    def executed(self, execution: Execution) -> None:
        if not self.house:
            self.executions.append(execution)

    def slot(self, side: Side, *, reduces: bool) -> Slot:
        """The position that such an order acts on. In dual mode, what does not reduce adds to its own side. [Place futures order]"""
        if not self.dual_mode:
            return Slot.SINGLE
        return Slot.LONG if (side is Side.BUY) != reduces else Slot.SHORT

    def position(self, contract: Contract, slot: Slot) -> Position:
        return self.positions.setdefault((contract.name, slot), Position(contract=contract, slot=slot))

    def reducible(self, order: Order) -> int:
        return self.position(order.contract, order.slot).reducible(order.sign)

    def set_dual_mode(self, on: bool) -> None:
        """Only where nothing is held and nothing is open. [Set position mode]"""
        if any(position.size for position in self.positions.values()):
            raise positions_held()
        if self.open:
            raise orders_pending()
        self.dual_mode = on

    # ── Margin ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def unrealised(self, marks: Marks) -> Decimal:
        return sum((position.unrealised(marks(position.contract)) for position in self.positions.values()), ZERO)

    def position_margin(self, marks: Marks) -> Decimal:
        return sum((self.initial_margin(position, marks) for position in self.positions.values()), ZERO)

    def initial_margin(self, position: Position, marks: Marks) -> Decimal:
        return abs(position.contract.value(position.size, marks(position.contract))) / self.leverage[position.contract.name]

    def maintenance_margin(self, marks: Marks) -> Decimal:
        return sum((
            abs(position.contract.value(position.size, marks(position.contract))) * position.contract.maintenance_rate
            for position in self.positions.values()
        ), ZERO)

    def order_margin(self, extra: Order | None = None) -> Decimal:
        """Of all open orders, and of one more that is not open yet."""
        by_direction: defaultdict[tuple[Contract, Slot, int], list[Order]] = defaultdict(list)
        for order in (*self.open.values(), *(() if extra is None else (extra,))):
            if not order.reduce_only:
                by_direction[order.contract, order.slot, order.sign].append(order)
        margin = ZERO
        for (contract, slot, sign), orders in by_direction.items():
            size = sum(order.left for order in orders)
            added = max(0, size - self.position(contract, slot).reducible(sign))
            value = sum((contract.value(order.left, order.price) for order in orders), ZERO)
            margin += value * added / size / self.leverage[contract.name]
        return margin

    def available(self, marks: Marks, extra: Order | None = None) -> Decimal:
        return self.balance + self.unrealised(marks) - self.position_margin(marks) - self.order_margin(extra)
