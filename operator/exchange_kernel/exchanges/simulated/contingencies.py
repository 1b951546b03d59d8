"""What the end of one order means for the others of its list, and what a leg of a pair does to the other. Source: rest-api.md, "Order lists".

Of a pair only one order is ever executed, and both are paid from one lock: whichever of the two would cost more holds it.
"""

from __future__ import annotations

from decimal import Decimal

from exchange_kernel.exchanges.simulated.clearing import Clearing
from exchange_kernel.exchanges.simulated.order_lists import ListStatus
from exchange_kernel.exchanges.simulated.orders import ZERO, ExecutionType, Order, Status

OCO_TRIGGER = "OCO_TRIGGER"
PHASE_ONE_EXPIRED = "OTO_PHASE_ONE_EXPIRED"
REJECTED = "REJECTED"


def pair_needs(pair: list[Order]) -> dict[Order, Decimal]:
    """What to lock for orders of which one at most is executed: for one of them what it needs, for the other nothing."""
    dearest = max(pair, key=lambda order: order.reserve(order.remaining))
    return {order: order.reserve(order.remaining) if order is dearest else ZERO for order in pair}


def goes_alone(order: Order, clearing: Clearing) -> None:
    """It is about to work at its stop price, or to trade: the other order of its pair expires, and the lock is this one's."""
    sibling = order.order_list.sibling(order) if order.order_list is not None and not order.order_list.broken else None
    if sibling is None:
        return
    order.locked += sibling.locked
    sibling.locked = ZERO
    clearing.end(sibling, Status.EXPIRED, ExecutionType.EXPIRED, reason=OCO_TRIGGER)
    if not order.type.at_market:
        clearing.unlock(order, order.locked - order.reserve(order.remaining))


def ended(order: Order, clearing: Clearing) -> bool:
    """After an order has ended. True: what waits for it is to be released. What a cancel ends besides is the cancel's business."""
    order_list = order.order_list
    if order_list is None:
        return False
    if order is order_list.working and order.status is Status.FILLED:
        return True
    if order.status in (Status.EXPIRED, Status.EXPIRED_IN_MATCH) and order.expiry_reason not in (OCO_TRIGGER, PHASE_ONE_EXPIRED):
        reason = PHASE_ONE_EXPIRED if order is order_list.working else OCO_TRIGGER
        for other in order_list.others:
            if other.status.open:
                clearing.end(other, Status.EXPIRED, ExecutionType.EXPIRED, reason=reason)
    if not order_list.open and order_list.list_id in order_list.account.open_lists:
        order_list.account.close_list(order_list)
        clearing.report_list(order_list, ListStatus.ALL_DONE)
    return False
