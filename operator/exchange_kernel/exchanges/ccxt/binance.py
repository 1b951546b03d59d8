"""Binance spot. Sources: the venue's own documentation (github.com/binance/binance-spot-api-docs), page and section in brackets, read 2026-07."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange_kernel.api import AmendQuantity, DuplicateIdsRefused, ExpiryCheck, LookupAuthority, ReplaceKind
from exchange_kernel.core.venue import Capabilities
from exchange_kernel.exchanges.ccxt import binance_answers as answers
from exchange_kernel.exchanges.ccxt import binance_requests as requests
from exchange_kernel.exchanges.ccxt.binance_words import WORDS
from exchange_kernel.exchanges.ccxt.budget import Limit
from exchange_kernel.exchanges.ccxt.dialect import Amends, Ban, Call, Dialect, Groups, Holdings, StreamDialect

REQUEST_WINDOW_MS = 3000

CAPABILITIES = Capabilities(
    client_order_id_codec="hex32",
    client_order_id_max_length=36,          # ^[\.A-Z\:/a-z0-9_-]{1,36}$ [derivatives: New Order; spot states uniqueness only]
    client_order_id_pattern=r"[\.A-Z\:/a-z0-9_-]{1,36}",
    duplicate_ids_refused=DuplicateIdsRefused.WHILE_OPEN,      # "accepted only when the previous one is filled" [rest-api.md, New order, newClientOrderId]
    lookup=LookupAuthority.AUTHORITATIVE,   # GET /api/v3/order by origClientOrderId, memory then database [rest-api.md, Query order]
    lookup_delay_ms=1000,                   # ours: "some delay in the response is normal and expected" [rest-api.md, Data Sources]
    request_window_ms=REQUEST_WINDOW_MS,    # recvWindow, any value to 60000 [rest-api.md, Timing security]
    request_expiry_parameter="recvWindow",
    accepts_ahead_ms=1000,                  # timestamp < serverTime + 1 second [rest-api.md, Timing security]
    expiry_check=ExpiryCheck.BY_ENGINE,     # checked again just before the matching engine [CHANGELOG.md, 2025-05-22; rest-api.md, Timing security]
    retention_ms=90 * requests.DAY_MS,      # cancelled or expired without a fill: archived after 90 days [errors.md, -2026 ORDER_ARCHIVED]
    # Of filled orders, and of the lists of orders and trades, no end is documented.
    amend=AmendQuantity.DECREASE,           # keepPriority: newQty "less than the order's quantity", and nothing else [rest-api.md, Order Amend Keep Priority]
    replace=ReplaceKind.NOT_FILL_AWARE,     # cancelReplace: quantity is the new order's, whatever the old one filled [rest-api.md, Cancel an Existing Order]
    cancel_by_client_id=True,               # origClientOrderId [rest-api.md, Cancel order]
    order_types=frozenset({"Market", "Limit", "StopMarket", "StopLimit", "TakeProfitMarket", "TakeProfitLimit", "TrailingStop"}),
    times_in_force=frozenset({"GTC", "IOC", "FOK"}),    # [enums.md, Time in force]
    post_only=True,                         # LIMIT_MAKER [rest-api.md, New order]
    reduce_only=False,                      # spot has no positions
    trigger_prices=frozenset({"Last"}),     # "the last traded price" [errors.md, Order would trigger immediately]
    trailing_units=frozenset({"BasisPoints"}),          # [faqs/trailing-stop-faq.md]
    native_groups=frozenset({"OneCancelsOther", "OneTriggersOther", "Bracket"}),        # OCO, OTO, OTOCO [rest-api.md, Order lists]
)


def subscribe(exchange: Any, request_id: str) -> Mapping[str, Any]:
    """[web-socket-api.md, User Data Stream requests]"""
    return {"id": request_id, "method": "userDataStream.subscribe.signature", "params": exchange.sign_params({})}


def heartbeat(request_id: str) -> Mapping[str, Any]:
    """"A safe way to test request-response handling" [web-socket-api.md, Test connectivity]"""
    return {"id": request_id, "method": "ping"}


BINANCE_SPOT = Dialect(
    exchange_id="binance",
    market_type="spot",
    capabilities=CAPABILITIES,
    options={
        "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False,
        "recvWindow": REQUEST_WINDOW_MS, "timeDifference": 0, "adjustForTimeDifference": False,
    },
    limit=Limit(6000, 60),                     # [enums.md, Rate limiters, REQUEST_WEIGHT]
    submit=requests.submit,
    cancel=requests.cancel,
    lookup=requests.lookup,
    open_orders=requests.open_orders,
    order_pages=requests.order_pages,
    trade_pages=requests.trade_pages,
    clock=Call("GET", "time", api=("public",), signed=False),
    account=lambda: Call("GET", "account", {"omitZeroBalances": "true"}, weight=20),
    markets=Call("GET", "exchangeInfo", {"showPermissionSets": "false"}, weight=20, api=("public",), signed=False),      # most of it [rest-api.md]
    read_error=answers.read_error,
    read_submitted=answers.read_submitted,
    read_cancelled=answers.read_cancelled,
    read_order=answers.read_order,
    read_trade=answers.read_trade,
    read_clock=answers.read_clock,
    read_account=answers.read_account,
    read_taker_fee=answers.read_taker_fee,
    last_price=requests.last_price,
    read_last_price=answers.read_last_price,
    read_markets=answers.read_markets,
    read_market=answers.read_market,
    read_limit=answers.read_limit,
    read_used_weight=answers.read_used_weight,
    longest_ban=Ban(3 * 24 * 3600, 'rest-api.md, "IP Limits": IP bans "scale in duration for repeat offenders, from 2 minutes to 3 days"'),
    words=WORDS,
    amends=Amends(request=requests.amend, read=answers.read_amended),
    groups=Groups(request=requests.submit_list, read=answers.read_submitted_list, lookup=requests.lookup_list, read_found=answers.read_list),
    holdings=Holdings(balances=requests.balances, read_balance=answers.read_balance),
    stream=StreamDialect(url=("ws", "ws-api", "spot"), weight=4, subscribe=subscribe, heartbeat=heartbeat, read=answers.read_stream),
)
