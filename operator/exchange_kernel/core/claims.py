"""Whose order is it? Two intents can name one order: by the same idempotencyKey or place in a group, or by a copied status (rule 2).

One of them has it, and the other only says so: it sends nothing, and deleting it cancels nothing. A key names one order of an account at an exchange,
whichever of its markets that is on: the id made of it is the same on each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from exchange_kernel.api import OrderState
from exchange_kernel.core.identity import CODECS, member_order_id, order_id
from exchange_kernel.core.order import Holder, OrderRecord

FOLLOWED = 64  # attempts before the newest that are followed whether or not status lists them: their ids are made again from their numbers


def ids_of_its_own(order: OrderRecord, owner: str) -> bool:
    """Whether every recorded attempt carries an id made from this object's own UID. Of another's are those of a copied or restored status."""
    return all(_derived(order, attempt.number, attempt.client_order_id, owner) for attempt in order.attempts)


def holder(order: OrderRecord, peers: Iterable[OrderRecord], owner: str) -> Holder | None:
    """The intent that has the order which `order` names too; None if that is `order` itself.

    `peers`: the intents on the same account at the exchange, `order` among them or not. Those on another market of it count only while nothing was
    written of `order`: what was sent there is another order than what was sent here.
    """
    key, ids = order.spec.idempotency_key, {attempt.client_order_id for attempt in order.attempts}
    best = _Claim(order, ids, owner)
    for peer in peers:
        if peer.uid == order.uid or _gave_up(peer):
            continue
        same_key = key is not None and (peer.namespace, peer.spec.idempotency_key) == (order.namespace, key)
        same_place = _place(order) is not None and _place(peer) == _place(order) and (peer.attempts or not peer.finished)
        if same_key or same_place or any(attempt.client_order_id in ids for attempt in peer.attempts):
            best = min(best, _Claim(peer, ids, owner), key=lambda claim: claim.rank)
    if best.order.uid == order.uid:
        return None
    return Holder(best.order.name, best.order.spec.account_ref.name, agrees=_terms(best.order) == _terms(order))


def _place(order: OrderRecord) -> tuple[str, str] | None:
    """Return the group's UID and the member that an intent names: its ids are made of them."""
    return (order.spec.group_ref.uid, order.spec.group_ref.member) if order.spec.group_ref is not None else None


def _terms(order: OrderRecord) -> tuple[object, ...]:
    spec = order.spec
    return (spec.account_ref.name, spec.symbol, spec.side, spec.position_side, spec.type, spec.quantity, spec.quote_quantity)


def _gave_up(peer: OrderRecord) -> bool:
    """Denied is provably never live: such an intent has no order to hold."""
    return peer.finished and peer.status.state is OrderState.DENIED


class _Claim:
    """How good an intent's claim is: who still exists, whose own UID makes the id, who has recorded it, who was first."""

    def __init__(self, order: OrderRecord, ids: Collection[str], owner: str) -> None:
        self.order = order
        own = any(attempt.client_order_id in ids and _derived(order, attempt.number, attempt.client_order_id, owner) for attempt in order.attempts)
        self.rank = (order.gone, not own, not order.attempts, order.created_ms, order.uid)


def own_id(order: OrderRecord, owner: str, attempt: int) -> str:
    """The id that this object makes of itself: from its group and its place in it, or from its UID."""
    if (group := order.spec.group_ref) is not None:
        return member_order_id(owner, group_uid=group.uid, member=group.member, attempt=attempt)
    return order_id(owner, uid=order.uid, attempt=attempt)


def first_followed(order: OrderRecord) -> int:
    """The first attempt of which a late fill is told in status, be it listed there or not: of one before it, if it is not listed, the account tells.

    An attempt that was summed up without fills can be listed again. One that was summed up with fills can't: how much of the sum is its own is not recorded.
    """
    last = max((attempt.number for attempt in order.attempts), default=1)
    return max(1, last - FOLLOWED, filled_through(order) + 1)


def filled_through(order: OrderRecord) -> int:
    """The highest number of the attempts that were summed up with fills; 0 if none was."""
    earlier = order.status.earlier_attempts
    if earlier is None or earlier.filled_quantity == 0:
        return 0
    if earlier.filled_through is not None:
        return earlier.filled_through
    return min((attempt.number for attempt in order.attempts), default=1) - 1  # written before this was recorded: all that are not listed


def _derived(order: OrderRecord, number: int, client_order_id: str, owner: str) -> bool:
    made = own_id(order, owner, number)
    return any(encode(made) == client_order_id for encode in CODECS.values())
