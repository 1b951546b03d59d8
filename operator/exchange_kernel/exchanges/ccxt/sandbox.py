"""A Sandbox account is one only if its wire says so: each signed request goes to another host than live's, or has a header that live's has not.

What a venue and ccxt call a sandbox is not believed: the same requests are signed for both, with invented keys, and compared before anything is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from exchange_kernel.core.identity import encode
from exchange_kernel.core.venue import MarketRules, OrderRequest
from exchange_kernel.exchanges.ccxt.dialect import Call, Dialect, Market
from exchange_kernel.exchanges.ccxt.probe import ID, NOW_MS, SYMBOLS, invented
from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.spoken import spoken
from exchange_kernel.exchanges.ccxt.wire import STAMP
from exchange_kernel.exchanges.port import CannotOpen

STEP = Decimal("0.01")


def enter_sandbox(ccxt: Any) -> None:
    """Switch an instance to its venue's sandbox, if ccxt knows one: its hosts, and the headers that go with each request."""
    if not ccxt.urls.get("test"):                # ccxt's own answer is a TypeError
        return
    before = dict(ccxt.headers or {})
    ccxt.set_sandbox_mode(True)
    ccxt.sandbox_headers = {name: value for name, value in (ccxt.headers or {}).items() if before.get(name) != value}


def refuse_if_live(venue: Dialect | Row, addressed: Callable[[Any, str], None], *, own_address: bool) -> None:
    """Raise CannotOpen if a Sandbox account's requests could be taken for live ones.

    `addressed(ccxt, environment)` gives an instance the addresses of that environment, as it does for the account itself.
    """
    sandbox, live = (invented(venue.exchange_id, venue.options) for _ in range(2))
    if not own_address and not sandbox.urls.get("test"):
        raise CannotOpen("NoSandbox", f"{venue.exchange_id} has no sandbox: use environment Live, or name a gateway in spec.endpoint.")
    addressed(sandbox, "Sandbox")
    if not _apart(venue, sandbox, live):
        raise CannotOpen(
            "NoSandbox",
            f"A sandbox of {venue.exchange_id} {venue.market_type} can't be told from live trading by the requests sent to it, so nothing is sent: use "
            "environment Live or Simulated, or name a gateway to a sandbox in spec.endpoint."
        )


def _apart(venue: Dialect | Row, sandbox: Any, live: Any) -> bool:
    token = STAMP.set(NOW_MS)
    try:
        there, here = (list(_signed(venue, ccxt)) for ccxt in (sandbox, live))
        return all(_told_apart(one, other) for one, other in zip(there, here, strict=True)) and _streams_apart(venue, sandbox, live)
    except Exception:                            # ccxt refuses to sign: what would be written is not known
        return False
    finally:
        STAMP.reset(token)


def _signed(venue: Dialect | Row, ccxt: Any) -> Iterator[Any]:
    """What would be written: a question about the account, one about its orders, and an order."""
    dialect = venue
    if isinstance(venue, Row):
        ccxt.accounts = [{"id": "42", "type": venue.numbered_account}]
        dialect = spoken(venue, ccxt)
    assert isinstance(dialect, Dialect)
    for call in _calls(dialect, ccxt):
        yield ccxt.sign(call.path, list(call.api), call.method, call.params if call.stamped is None else call.stamped())


def _calls(dialect: Dialect, ccxt: Any) -> Iterator[Call]:
    symbol = SYMBOLS[dialect.market_type]
    rules = MarketRules(symbol=symbol, base="BTC", quote="USDT", active=True, quantity_step=STEP, price_step=STEP)
    market = Market(ccxt.markets[symbol]["id"], rules, quote_step=STEP)
    yield dialect.account()
    yield next(dialect.open_orders(None))
    yield dialect.submit(OrderRequest(
        client_order_id=encode(ID, dialect.capabilities.client_order_id_codec), symbol=symbol, side="Buy", type="Limit", quantity=Decimal(12),
        price=Decimal(31234), time_in_force="GTC"), market)


def _told_apart(sandbox: Any, live: Any) -> bool:
    """Whether host or headers tell: a signature or a body that differs does not, since only the venue could say what it means."""
    hosts = {urlsplit(signed["url"]).netloc for signed in (sandbox, live)}
    return len(hosts) == 2 or bool(set(sandbox["headers"] or {}) - set(live["headers"] or {}))


def _streams_apart(venue: Dialect | Row, sandbox: Any, live: Any) -> bool:
    if isinstance(venue, Row) or venue.stream is None:
        return True
    hosts = set()
    for ccxt in (sandbox, live):
        url: Any = ccxt.urls["api"]
        for name in venue.stream.url:
            url = url[name]
        hosts.add(urlsplit(url).netloc)
    return len(hosts) == 2
