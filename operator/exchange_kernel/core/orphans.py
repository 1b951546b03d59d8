"""Which of the orders listed at the exchange are ours, and which of those no OrderIntent explains (rule 12). Pure: the sweeper reads, this judges."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from exchange_kernel.core.answers import ExchangeOrder, Listing, OrderKey
from exchange_kernel.core.claims import own_id
from exchange_kernel.core.identity import CODECS, is_ours, keyed_order_id
from exchange_kernel.core.order import OrderRecord

REACH = 32  # so many attempts beyond those in status are thought of
MAY_BE_OURS = "an order on it that may be of this installation can't be read"


@dataclass(frozen=True, slots=True)
class Sorted:
    """One list of open orders, by whose they are."""

    unexplained: tuple[ExchangeOrder, ...]  # ours by their id, and of no intent
    external: int  # placed by somebody else: left alone


def set_aside(listing: Listing[ExchangeOrder], owner: str) -> tuple[Listing[ExchangeOrder], int]:
    """The listing without the unread entries that are somebody else's, and their number.

    An entry of which every text can be read and none is an id of ours says nothing about our orders, so the list is whole without it.
    """
    ours = tuple(entry for entry in listing.unread if entry.texts is None or any(is_ours(text, owner) for text in entry.texts))
    others = len(listing.unread) - len(ours)
    whole = listing.complete or (others > 0 and not ours and not listing.lack)
    lack = listing.lack or ("" if whole else MAY_BE_OURS if ours else "not all of it came")
    return Listing(listing.items, whole, ours, lack), others


def sort(listed: Iterable[ExchangeOrder], owner: str, explained: Collection[str]) -> Sorted:
    """Ours and unexplained, or somebody else's. `explained`: the client order ids of which an intent is known."""
    listed = tuple(listed)
    ours = [order for order in listed if is_ours(order.client_order_id, owner)]
    return Sorted(tuple(order for order in ours if order.client_order_id not in explained), len(listed) - len(ours))


def explain(client_order_ids: Collection[str], records: Iterable[OrderRecord], owner: str, fingerprint: str) -> dict[str, OrderRecord]:
    """The intent of each of these ids that has one: it recorded the id, or its next attempt or an earlier one makes it, in any encoding ever shipped.

    Where several intents explain one, an unfinished one is named. A place in a group that an intent only says it has is the last to explain one.
    """
    found: dict[str, OrderRecord] = {}
    if not client_order_ids:
        return found
    for record in sorted(records, key=_only_says_so):
        last = max((attempt.number for attempt in record.attempts), default=0)
        ids = {attempt.client_order_id for attempt in record.attempts}.union(*(_made(record, number, owner, fingerprint) for number in range(1, last + 2)))
        for client_order_id in ids & set(client_order_ids):
            if client_order_id not in found or (found[client_order_id].finished and not _only_says_so(record)):
                found[client_order_id] = record
    return found


def attempt_of(order: ExchangeOrder, records: Iterable[OrderRecord], owner: str, fingerprint: str) -> tuple[OrderRecord, int] | None:
    """The unfinished intent, and the number, of which an order is an attempt far beyond those that status has: it was restored or wiped."""
    for record in sorted(records, key=_only_says_so):
        if record.finished or (record.spec.symbol, record.spec.side) != (order.symbol, order.side):
            continue
        last = max((attempt.number for attempt in record.attempts), default=0)
        for number in range(last + 2, last + REACH):
            if order.client_order_id in _made(record, number, owner, fingerprint):
                return record, number
    return None


def _only_says_so(record: OrderRecord) -> bool:
    """Return whether only its groupRef gives an intent the ids of a group's member."""
    return record.spec.group_ref is not None and not record.attempts


def _made(record: OrderRecord, number: int, owner: str, fingerprint: str) -> set[str]:
    """The ids that an intent makes for one attempt, in any encoding ever shipped."""
    made = [own_id(record, owner, number)]
    if (key := record.spec.idempotency_key) is not None:
        made.append(keyed_order_id(owner, fingerprint=fingerprint, namespace=record.namespace, key=key, attempt=number))
    return {encode(one) for one in made for encode in CODECS.values()}


def confirm(
    suspected: Mapping[OrderKey, int], unexplained: Iterable[ExchangeOrder], began_ms: int, apart_ms: int
) -> tuple[dict[OrderKey, int], tuple[ExchangeOrder, ...]]:
    """Orphans: what two complete sweeps in a row could not explain, the readings of which began at least `apart_ms` apart.

    `suspected`: by order, when (venue ms) the reading began that first could not. Returns the same for the next sweep, and the orphans.
    """
    unexplained = tuple(unexplained)
    since = {order.key: suspected.get(order.key, began_ms) for order in unexplained}
    return since, tuple(order for order in unexplained if began_ms - since[order.key] >= max(1, apart_ms))
