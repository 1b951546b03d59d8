"""Whose order is it? Two intents can name one order: by the same idempotencyKey, or by a status that was copied with its object (rule 2).

One of them has it, and the other only says so: it sends nothing, and deleting it cancels nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from exchange_kernel.api import OrderState
from exchange_kernel.core.identity import CODECS, member_order_id, order_id
from exchange_kernel.core.order import OrderRecord


def ids_of_its_own(order: OrderRecord, owner: str) -> bool:
    """Whether every recorded attempt carries an id made from this object's own UID. Of another's are those of a copied or restored status."""
    return all(_derived(order, attempt.number, attempt.client_order_id, owner) for attempt in order.attempts)


def holder(order: OrderRecord, peers: Iterable[OrderRecord], owner: str) -> str | None:
    """The name of the intent that has the order which `order` names too; None if that is `order` itself.

    `peers`: all intents on the same ExchangeAccount, `order` among them or not.
    """
    key, ids = order.spec.idempotency_key, {attempt.client_order_id for attempt in order.attempts}
    best = _Claim(order, ids, owner)
    for peer in peers:
        if peer.uid == order.uid or _gave_up(peer):
            continue
        if (key is not None and peer.spec.idempotency_key == key) or any(attempt.client_order_id in ids for attempt in peer.attempts):
            best = min(best, _Claim(peer, ids, owner), key=lambda claim: claim.rank)
    return best.order.name if best.order.uid != order.uid else None


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


def _derived(order: OrderRecord, number: int, client_order_id: str, owner: str) -> bool:
    made = own_id(order, owner, number)
    return any(encode(made) == client_order_id for encode in CODECS.values())
