"""Crypto.com Exchange [exchange-developer.crypto.com: Exchange API v1, Trading; Response and Reason Codes]."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from exchange_kernel.api import DuplicateIdsRefused
from exchange_kernel.exchanges.ccxt.dialect import CLOSED, RULES, codes, words
from exchange_kernel.exchanges.ccxt.parsing import Unreadable
from exchange_kernel.exchanges.ccxt.row import DAY_MS, IMMEDIATE, Asked, Row
from exchange_kernel.exchanges.ccxt.wire import Answer


def read_error(document: Any) -> tuple[str, str] | None:
    if not isinstance(document, dict) or type(document.get("code")) is not int or document["code"] == 0:
        return None
    return str(document["code"]), str(document.get("message", ""))


def read_clock(answer: Answer) -> int:
    """It has no method for its time. The header's whole seconds do: a nonce may be sixty off. [Common Issues, INVALID_NONCE]"""
    try:
        return int(parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC).timestamp() * 1000)
    except ValueError:
        raise Unreadable("the venue's time can't be read") from None


def _cancel(written: str, symbol: str) -> Asked:
    return "cancel_order", (None, symbol, {"client_oid": written})


def _lookup(written: str, symbol: str) -> Asked:
    return "fetch_order", (None, symbol, {"client_oid": written})


# Much is said with HTTP 500, insufficient balance (306) among it: that proves nothing here, and the order is looked up, where it stands as REJECTED.
WORDS = words(
    "exchange-developer.crypto.com: Response and Reason Codes",
    duplicates=(codes("204", meaning="duplicate client order id"),),
    refusals=(
        codes("202", "401", "408", meaning="the account is suspended, or does not exist"),
        codes("208", meaning="the market is not tradable", kind=CLOSED),
        codes("209", meaning="no such market", kind=RULES),
        codes("213", "314", meaning="the quantity", kind=RULES),
        codes("218", "220", "221", meaning="order type, side or time in force"),
        codes("308", "315", meaning="the price, or it is too far off", kind=RULES),
        codes("318", "319", meaning="too many open orders, or too large a position"),
        codes("1110", meaning="reduce-only is rejected"),
        codes("40004", meaning="a parameter is missing"),
        codes("40101", "40103", "40104", meaning="key, signature, address or the user's tier: before anything is done"),
    ),
    time=(codes("40102", meaning="the nonce is more than sixty seconds off"),),
    not_found=(codes("40401", meaning="not found"),),
    unknown_order=(codes("40401", meaning="not found"),),
    busy=(codes("42901", meaning="too many requests"),),
)


def _row(market_type: str) -> Row:
    return Row(
        exchange_id="cryptocom", market_type=market_type, options={"defaultType": market_type},
        without=("broker_id",), send_as="client_oid",                  # ccxt's unified key is dropped [ccxt]
        cancel_by=_cancel, lookup_by=_lookup,                          # [private/cancel-order; private/get-order-detail]
        market_params={},                                              # quantity is of the base, notional of the quote [private/create-order]
        clock=("v1PublicGetPublicGetTickers", ({"instrument_name": "BTC_USDT"},)), clock_read=read_clock,
        ended=("fetch_orders",), ended_page=100, open_page=100,        # a day back, a hundred [private/get-order-history]
        read_error=read_error, errors_in_200=True,
        succeeded=lambda document: isinstance(document, dict) and document.get("code") == 0 and document.get("result") is not None,
        # A nonce is good for sixty seconds, which nobody can shorten: longer than an operator holds its Lease, so it is not counted on.
        id_max_length=36,                                              # a UUID's length, in every example [private/create-order, client_oid]
        duplicates=DuplicateIdsRefused.WHILE_OPEN,                     # DUPLICATE_CLORDID; for how long is not documented
        retention_ms=DAY_MS, orders_horizon_ms=DAY_MS, trades_horizon_ms=DAY_MS,       # windows of a day [private/get-order-history; private/get-trades]
        create_batch=10, cancel_batch=10,                              # [private/create-order-list; private/cancel-order-list]
        times_in_force=IMMEDIATE, post_only=True, words=WORDS,         # [private/create-order, exec_inst]
    )


ROWS = (_row("spot"), _row("swap"))
