"""Names for new intents: fit for Kubernetes (RFC 1123), unique without asking anybody, and sorted by the time at which they were given."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

#: Crockford's base 32 in lower case: its letters sort as their values do (https://github.com/ulid/spec).
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_ULID_LENGTH = 26
_RANDOM_BYTES = 10

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def fit_for_label(text: str) -> bool:
    """An RFC 1123 label: a name may begin with it, and a Kubernetes label have it as its value."""
    return _LABEL.fullmatch(text) is not None


def fit_for_object(text: str) -> bool:
    """An RFC 1123 subdomain: an object can have this name."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


class Names:
    """`<prefix>-<ULID>`: 48 bits of time in milliseconds, then 80 of chance, which count up where the time does not."""

    def __init__(self, prefix: str, *, wall_ms: Callable[[], int], chance: Callable[[int], bytes]) -> None:
        self._prefix, self._wall_ms, self._chance = prefix, wall_ms, chance
        self._last = 0

    def new(self) -> str:
        fresh = (self._wall_ms() << 8 * _RANDOM_BYTES) | int.from_bytes(self._chance(_RANDOM_BYTES), "big")
        same_or_earlier = fresh >> 8 * _RANDOM_BYTES <= self._last >> 8 * _RANDOM_BYTES
        self._last = self._last + 1 if same_or_earlier else fresh
        return f"{self._prefix}-{_base32(self._last)}"


def keyed_name(account: str, idempotency_key: str) -> str:
    """The one name that an order with this key on this account can have: placed twice, whatever crashed in between, it is one object."""
    digest = hashlib.sha256(f"{len(account)}:{account}{idempotency_key}".encode()).digest()
    return f"keyed-{_base32(int.from_bytes(digest[:16], 'big'))}"


def _base32(number: int) -> str:
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(_ULID_LENGTH)))
