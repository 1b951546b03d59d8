"""Every real exchange, through ccxt: one adapter and a table of dialects."""

from __future__ import annotations

import re
from typing import Any

from exchange_kernel.core.answers import MALFORMED
from exchange_kernel.core.endpoints import host_of
from exchange_kernel.exchanges.ccxt.adapter import CcxtExchange
from exchange_kernel.exchanges.ccxt.dialect import Dialect
from exchange_kernel.exchanges.ccxt.dialects import INSTEAD, dialect_of
from exchange_kernel.exchanges.ccxt.endpoints import refuse_elsewhere
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.sandbox import enter_sandbox, refuse_if_live
from exchange_kernel.exchanges.ccxt.spoken import spoken
from exchange_kernel.exchanges.ccxt.wire import rebase, wired
from exchange_kernel.exchanges.port import CannotOpen, Credentials, Exchange

__all__ = ["Dialect", "Row", "dialect_of", "open_exchange", "open_venue", "refuse_elsewhere"]

#: As ccxt names them; nothing else in a credentials Secret reaches it.
CREDENTIALS = ("apiKey", "secret", "password", "uid", "privateKey", "walletAddress")
#: Those that only sign, and may be PEM text of many lines.
SIGNING = {"secret", "privateKey"}


def open_exchange(
    exchange_id: str, *, market_type: str, environment: str, credentials: Credentials, rest: str | None, websocket: str | None, ca_pem: bytes | None,
    requests_per_second: float | None, cancel_reserve_percent: int, proxy: str | None = None,
) -> Exchange:
    """The account at the exchange; nothing is asked of it yet. To be called where an event loop runs.

    `environment` is Live, Sandbox or Simulated. With `rest`, nothing but that address (and `websocket`, or else the same host) is ever contacted,
    but for a `proxy` on the way there, which carries REST and WebSocket.
    Raises CannotOpen where the account can't be opened as it is described.
    """
    venue = dialect_of(exchange_id, market_type)
    if isinstance(venue, Row) and venue.not_usable:
        raise CannotOpen("NotUsable", f"{exchange_id} {market_type} is not usable in this release: {venue.not_usable}. {INSTEAD}")
    return open_venue(
        venue, environment=environment, credentials=credentials, rest=rest, websocket=websocket, ca_pem=ca_pem, requests_per_second=requests_per_second,
        cancel_reserve_percent=cancel_reserve_percent, proxy=proxy,
    )


def open_venue(
    venue: Dialect | Row, *, environment: str, credentials: Credentials, rest: str | None, websocket: str | None, ca_pem: bytes | None,
    requests_per_second: float | None, cancel_reserve_percent: int, proxy: str | None = None,
) -> Exchange:
    """As `open_exchange`, of a venue by its row, usable or not."""
    if environment == "Simulated" and rest is None:
        raise CannotOpen("NoEndpoint", "A simulated account needs spec.endpoint.rest: the address of the simulated exchange.")
    if rest is not None and websocket is None:
        websocket = "ws" + rest.removeprefix("http")
    for address in (rest, websocket):
        if address is not None and environment != "Simulated" and not _safe(address):
            raise CannotOpen("NotEncrypted", "Plain http is for simulated, loopback and cluster-internal endpoints only: use https and wss.")
    ccxt = wired(venue.exchange_id)({
        **_usable(credentials),
        "enableRateLimit": False, "options": dict(venue.options),
    })
    if missing := [name for name, required in ccxt.requiredCredentials.items() if required and not getattr(ccxt, name)]:
        raise CannotOpen("CredentialsIncomplete", f"The credentials Secret lacks {' and '.join(missing)}.", by_credentials=True)

    _refuse_broken_wallet_key(ccxt)

    def addressed(instance: Any, environment: str) -> None:
        if environment == "Sandbox":
            enter_sandbox(instance)
        instance.urls["api"] = rebase(instance.urls["api"], rest, websocket)

    if environment == "Sandbox":
        refuse_if_live(venue, addressed, own_address=rest is not None)
    addressed(ccxt, environment)
    dialect = spoken(venue, ccxt) if isinstance(venue, Row) else venue
    return CcxtExchange(dialect, ccxt, ca_pem=ca_pem, requests_per_second=requests_per_second, cancel_reserve_percent=cancel_reserve_percent, proxy=proxy)


def _usable(credentials: Credentials) -> dict[str, str]:
    """Return the credentials that ccxt knows, without the line ends that an editor leaves.

    Raises CannotOpen where one that goes into a header or an address can't stand there.
    """
    values = {name: credentials.values[name].strip() for name in CREDENTIALS if name in credentials.values}
    for name in values.keys() - SIGNING:
        if not (values[name].isascii() and values[name].isprintable()):
            raise CannotOpen(
                MALFORMED, f"{name} in the credentials Secret has characters that no request can carry, such as a line end or a quotation mark "
                "that is not ASCII: copy it again, without formatting.", by_credentials=True,
            )
    return values


def _refuse_broken_wallet_key(ccxt: Any) -> None:
    """Raise CannotOpen if a wallet's key is needed and this is none: no reading would tell."""
    if ccxt.requiredCredentials.get("privateKey") and re.fullmatch("(0x)?[0-9a-fA-F]{64}", ccxt.privateKey) is None:
        raise CannotOpen(
            MALFORMED, "privateKey in the credentials Secret is no wallet's key, which has 64 hexadecimal digits, with 0x before them or without: copy it "
            "again.", by_credentials=True,
        )


def _safe(address: str) -> bool:
    """Encrypted, or to a host to which a plain connection does not leave the machine or the cluster."""
    host = host_of(address)
    return host is not None and (host.encrypted or host.near)
