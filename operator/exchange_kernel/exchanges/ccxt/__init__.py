"""Every real exchange, through ccxt: one adapter and a table of dialects."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from exchange_kernel.exchanges.ccxt.adapter import CcxtExchange
from exchange_kernel.exchanges.ccxt.dialect import Dialect
from exchange_kernel.exchanges.ccxt.dialects import dialect_of
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.spoken import spoken
from exchange_kernel.exchanges.ccxt.wire import rebase, wired
from exchange_kernel.exchanges.port import CannotOpen, Credentials, Exchange

__all__ = ["Dialect", "Row", "dialect_of", "open_exchange"]

#: As ccxt names them; nothing else in a credentials Secret reaches it.
CREDENTIALS = ("apiKey", "secret", "password", "uid", "privateKey", "walletAddress")


def open_exchange(
    exchange_id: str, *, market_type: str, environment: str, credentials: Credentials, rest: str | None, websocket: str | None, ca_pem: bytes | None,
    requests_per_second: float | None, cancel_reserve_percent: int,
) -> Exchange:
    """The account at the exchange; nothing is asked of it yet. To be called where an event loop runs.

    `environment` is Live, Sandbox or Simulated. With `rest`, nothing but that address (and `websocket`, or else the same host) is ever contacted.
    Raises CannotOpen where the account can't be opened as it is described.
    """
    venue = dialect_of(exchange_id, market_type)
    if environment == "Simulated" and rest is None:
        raise CannotOpen("NoEndpoint", "A simulated account needs spec.endpoint.rest: the address of the simulated exchange.")
    if rest is not None and websocket is None:
        websocket = "ws" + rest.removeprefix("http")
    for address in (rest, websocket):
        if address is not None and not _encrypted(address) and environment != "Simulated" and not _is_inside(address):
            raise CannotOpen("NotEncrypted", "Plain http is for simulated, loopback and cluster-internal endpoints only: use https and wss.")
    ccxt = wired(exchange_id)({
        **{name: credentials.values[name] for name in CREDENTIALS if name in credentials.values},
        "enableRateLimit": False, "options": dict(venue.options),
    })
    if missing := [name for name, required in ccxt.requiredCredentials.items() if required and not getattr(ccxt, name)]:
        raise CannotOpen("CredentialsIncomplete", f"The credentials Secret lacks {' and '.join(missing)}.")
    if environment == "Sandbox" and rest is None:
        if not ccxt.urls.get("test"):            # ccxt's own answer is a TypeError
            raise CannotOpen("NoSandbox", f"{exchange_id} has no sandbox: use environment Live, or name a gateway in spec.endpoint.")
        ccxt.set_sandbox_mode(True)
    ccxt.urls["api"] = rebase(ccxt.urls["api"], rest, websocket)
    dialect = spoken(venue, ccxt) if isinstance(venue, Row) else venue
    return CcxtExchange(dialect, ccxt, ca_pem=ca_pem, requests_per_second=requests_per_second, cancel_reserve_percent=cancel_reserve_percent)


def _encrypted(address: str) -> bool:
    return urlsplit(address).scheme in ("https", "wss")


def _is_inside(address: str) -> bool:
    """Loopback, or a name that only a cluster's own DNS knows."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".svc", ".cluster.local"))
