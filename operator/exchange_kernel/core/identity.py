"""The client order id: 128 bits, the same on every retry, replica and restart, and written as each venue allows (rule 2).

The first 24 bits name the installation that owns the order, the other 104 are a hash of what the order is. It is a key to look up with, not a
promise of the venue to refuse duplicates: most venues reuse ids once an order is closed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache

OWNER_HEX = 6


def owner_prefix(installation_uid: str) -> str:
    """Six hex digits from the kube-system namespace's UID (or a Helm value): which installation an order belongs to."""
    return hashlib.sha256(f"owner:{installation_uid}".encode()).hexdigest()[:OWNER_HEX]


def order_id(owner: str, *, uid: str, attempt: int) -> str:
    """The 128-bit id (32 hex digits) of one attempt at an intent, from its UID: a recreated object is another order."""
    return _compose(owner, "uid", uid, str(attempt))


def keyed_order_id(owner: str, *, fingerprint: str, namespace: str, key: str, attempt: int) -> str:
    """The id of one attempt at an intent with an idempotencyKey: the same after delete and recreate, restore or a move to another cluster."""
    return _compose(owner, "key", fingerprint, namespace, key, str(attempt))


def member_order_id(owner: str, *, group_uid: str, member: str, attempt: int) -> str:
    """The id of one attempt at a group's member, native or emulated: an object that is created again for it would name the same order."""
    return _compose(owner, "group", group_uid, member, str(attempt))


def list_order_id(owner: str, *, group_uid: str) -> str:
    """The id of the list in which an exchange keeps a group's orders."""
    return _compose(owner, "group list", group_uid)


@lru_cache(maxsize=16_384)  # asked for at each look at an order
def _compose(owner: str, *parts: str) -> str:
    # Lengths in front of the parts: ("a", "bc") and ("ab", "c") must not meet.
    digest = hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()
    return owner + digest[: 32 - OWNER_HEX]


def is_ours(client_order_id: str, owner: str) -> bool:
    """Whether an order at the exchange carries this installation's prefix, in any encoding ever shipped."""
    return client_order_id.startswith(owner) and len(client_order_id) in LENGTHS


def _hex32(order: str) -> str:
    return order


def _hex28(order: str) -> str:
    """Its first 112 bits, for venues that take 28 characters: the owner's 24, and 88 of the hash."""
    return order[:28]


#: How an id is written for a venue, by versioned name. Entries are added and never changed or removed: the resolver tries every one.
CODECS: Mapping[str, Callable[[str], str]] = {
    "hex32": _hex32,
    "hex28": _hex28,
}

#: Of every encoding ever shipped.
LENGTHS = frozenset({32, 28})


def encode(order: str, codec: str) -> str:
    return CODECS[codec](order)
