"""Who asks, and whether the request is still valid. Source: binance-spot-api-docs, rest-api.md, "Request Security" and "Timing security"."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.errors import (
    ahead_of_time,
    bad_key_format,
    bad_signature,
    mandatory,
    outside_window,
    too_great,
    unknown_key,
)
from exchange_kernel.exchanges.simulated.parameters import DECIMAL, INTEGER, Parameters

AHEAD_MS = 1000
DEFAULT_WINDOW_MS = Decimal(5000)
LONGEST_WINDOW_MS = 60_000
MICROSECONDS_FROM = 10**14      # the venue takes both units: no millisecond time is as long before the year 5138

KEY_FORMAT = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """An account, as which a request was signed, and when the request ends to be valid."""

    account: Account
    expires: Decimal            # ms, the venue's time

    def check(self, now_ms: int) -> None:
        """Again just before the engine: a request that waited longer than its window is refused."""
        if now_ms > self.expires:
            raise outside_window()


class Keys:
    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._keys: dict[str, tuple[bytes, Account]] = {}

    def add(self, api_key: str, secret: str, account: Account) -> None:
        if KEY_FORMAT.fullmatch(api_key) is None or not secret:
            raise ValueError("an API key has 1 to 128 letters, digits, - or _, and its secret is not empty")
        self._keys[api_key] = (secret.encode(), account)

    def admit(self, api_key: str | None, payload: str, parameters: Parameters) -> Caller:
        """`payload` is what was signed: all that was sent but the signature, as it was sent."""
        if api_key is None or KEY_FORMAT.fullmatch(api_key) is None:
            raise bad_key_format()
        if (known := self._keys.get(api_key)) is None:
            raise unknown_key()
        secret, account = known
        timestamp = Decimal(parameters.text("timestamp", INTEGER))
        window = parameters.optional("recvWindow", DECIMAL)
        if (signature := parameters.optional("signature")) is None:
            raise mandatory("signature")
        if not hmac.compare_digest(hmac.digest(secret, payload.encode(), "sha256").hex(), signature.lower()):
            raise bad_signature()
        if timestamp >= MICROSECONDS_FROM:
            timestamp /= 1000
        validity = DEFAULT_WINDOW_MS if window is None else Decimal(window)
        if validity > LONGEST_WINDOW_MS:
            raise too_great("recvWindow", LONGEST_WINDOW_MS)
        now = self._now()
        if timestamp >= now + AHEAD_MS:
            raise ahead_of_time()
        caller = Caller(account, timestamp + validity)
        caller.check(now)
        return caller


def unsigned(encoded: str) -> str:
    """A query string or form without its signature."""
    if "signature=" not in encoded:
        return encoded
    return "&".join(part for part in encoded.split("&") if not part.startswith("signature="))
