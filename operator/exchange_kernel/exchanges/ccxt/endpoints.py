"""The hosts that are a venue's own, by ccxt's addresses of it, and the refusal of an account that would be asked for elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from exchange_kernel.core.endpoints import ENDPOINT_NOT_ALLOWED, Allowed, Host, host_of, why_proxy_refused, why_refused
from exchange_kernel.exchanges.ccxt.dialects import dialect_of
from exchange_kernel.exchanges.ccxt.sandbox import enter_sandbox
from exchange_kernel.exchanges.ccxt.wire import wired
from exchange_kernel.exchanges.port import CannotOpen


def refuse_elsewhere(
    exchange_id: str, *, market_type: str, environment: str, rest: str | None, websocket: str | None, own_ca: bool, listed: Iterable[Allowed],
    proxy: str | None = None,
) -> None:
    """Raise CannotOpen if an account with this endpoint is not to be opened; to be called before its credentials are read.

    `own_ca`: whether it brings a CA. `listed`: the hosts that the operator allows beside the venue's own and those of simulated exchanges.
    """
    listed = tuple(listed)
    if proxy is not None and (why := why_proxy_refused(proxy, listed)) is not None:
        raise CannotOpen(ENDPOINT_NOT_ALLOWED, why)
    if rest is None and websocket is None and not own_ca:
        return
    own = () if environment == "Simulated" else own_hosts(dialect_of(exchange_id, market_type).exchange_id, environment)
    if (why := why_refused(rest, websocket, environment=environment, own=own, listed=listed, own_ca=own_ca)) is not None:
        raise CannotOpen(ENDPOINT_NOT_ALLOWED, why)


@cache
def own_hosts(exchange_id: str, environment: str) -> tuple[Host, ...]:
    """Where ccxt sends an account's requests in this environment (Live or Sandbox)."""
    ccxt = wired(exchange_id)({})
    if environment == "Sandbox":
        if not ccxt.urls.get("test"):
            return ()
        enter_sandbox(ccxt)
    hosts = (host_of(address.replace("{hostname}", str(ccxt.hostname))) for address in _addresses(ccxt.urls["api"]))
    return tuple(dict.fromkeys(Host(host.name, host.port, host.encrypted) for host in hosts if host is not None))


def _addresses(urls: Any) -> Iterator[str]:
    if isinstance(urls, str):
        yield urls
    for inner in urls.values() if isinstance(urls, dict) else urls if isinstance(urls, list) else ():
        yield from _addresses(inner)
