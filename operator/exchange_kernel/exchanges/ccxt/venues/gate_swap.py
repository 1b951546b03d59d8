"""Gate's USDT-settled perpetual contracts [github.com/gate/gateapi-python: docs/FuturesApi.md; gate.com/docs/developers/apiv4: list of labels].

Quantities are whole contracts. Our id is a tag: nothing refuses a second order with the same `text`, and once an order ended without a fill it is found by
its `text` for a minute only [Get a single order]. So an order of ours is looked for in the lists, and one that is in none of them may still exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange_kernel.api import DuplicateIdsRefused, ExpiryCheck
from exchange_kernel.exchanges.ccxt.dialect import RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import HOUR_MS, Row

SETTLE = {"settle": "usdt"}


def _error(document: Any) -> tuple[str, str] | None:
    if not isinstance(document, dict) or not isinstance(document.get("label"), str):
        return None
    return document["label"], str(document.get("message") or document.get("detail") or "")


def _hedged(position_side: str, side: str) -> Mapping[str, Any]:
    """In dual mode an order adds to the position of its own side, and with reduce_only takes from the other. [Place futures order]"""
    return {"reduceOnly": (position_side == "Long") != (side == "Buy")}


ROWS = (Row(
    exchange_id="gate", market_type="swap",
    options={"unifiedAccount": False, "defaultType": "swap", "fetchMarkets": {"types": ["swap"]}, "swap": {"fetchMarkets": {"settlementCurrencies": ["usdt"]}}},
    id_codec="hex28", id_max_length=28, id_pattern="[-.0-9A-Za-z_]{1,28}",     # t- and up to 28 bytes [FuturesOrder, text]
    id_sent=str, id_written=lambda ours: f"t-{ours}", id_read=lambda theirs: theirs.removeprefix("t-"),
    cancel_by=lambda written, symbol: ("cancel_order", (written, symbol)),     # in the id's place [Cancel a single order]
    trades_by="order",                                         # the list that ccxt asks does not know it, and is gone through [my_trades_timerange]
    market_params={},                                          # price 0 with ioc [FuturesOrder, price]; the size is of contracts there too
    settle="USDT",
    account_method="privateFuturesGetSettleAccounts", account_params=SETTLE, account_number=("user",), hedge_mode_in=("in_dual_mode",),  # [FuturesAccount]
    hedged=_hedged, position_sides=("mode", {"dual_long": "long", "dual_short": "short"}),         # [Position, mode]
    read_error=_error, succeeded=lambda document: isinstance(document, dict | list) and document != {},
    statuses={                                                 # ways to end that ccxt does not know [FuturesOrder, finish_as]
        "auto_deleveraged": "canceled", "reduce_only": "canceled", "position_closed": "canceled", "reduce_out": "canceled", "stp": "canceled",
    },
    duplicates=DuplicateIdsRefused.NEVER, window_ms=0, expiry_check=ExpiryCheck.NONE,      # only a check on arrival is documented, which proves nothing
    retention_ms=HOUR_MS // 6,                                 # cancelled without a fill: ten minutes [List futures orders]
    history_ms=24 * HOUR_MS, retention_filled_ms=180 * 24 * HOUR_MS,           # others are listed for six months [List futures orders]
    dead_man_switch=True,                                      # [Countdown cancel orders]
    open_page=100, times_in_force=frozenset({"GTC", "IOC", "FOK"}), post_only=True, reduce_only=True,          # [FuturesOrder, tif: gtc, ioc, fok, poc]
    words=words(
        "gate.com/docs/developers/apiv4: list of labels",
        refusals=(
            codes("MISSING_REQUIRED_PARAM", "INVALID_PARAM_VALUE", "INVALID_REQUEST_BODY", meaning="the request itself"),
            codes("INVALID_KEY", "INVALID_SIGNATURE", "MISSING_REQUIRED_HEADER", "IP_FORBIDDEN", "READ_ONLY", "FORBIDDEN", "ACCOUNT_LOCKED",
                  meaning="who asks: before anything is done"),
            codes("CONTRACT_NOT_FOUND", "CONTRACT_IN_DELISTING", meaning="no such contract, or it is being delisted", kind=RULES),
            codes("INSUFFICIENT_AVAILABLE", "INITIAL_MARGIN_TOO_LOW", "RISK_LIMIT_EXCEEDED", "LIQUIDATE_IMMEDIATELY", meaning="margin"),
            codes("SIZE_TOO_LARGE", "SIZE_TOO_SMALL", meaning="the quantity", kind=RULES),
            codes("PRICE_TOO_DEVIATED", "PRICE_OVER_LIQUIDATION", "PRICE_OVER_BANKRUPT", meaning="the price"),
            codes("ORDER_POC_IMMEDIATE", meaning="a post-only order would take"),
            codes("ORDER_FOK", meaning="it can't be filled completely"),
            codes("INCREASE_POSITION", "REDUCE_EXCEEDED", "POSITION_EMPTY", meaning="reduce-only would not reduce"),
            codes("POSITION_IN_LIQUIDATION", "POSITION_IN_CLOSE", "POSITION_DUAL_MODE", meaning="the position's state, or its mode"),
        ),
        time=(codes("REQUEST_EXPIRED", meaning="the timestamp is more than a minute off"),),
        unknown_order=(codes("ORDER_NOT_FOUND", "CLIENT_ID_NOT_FOUND", meaning="no such order"), codes("ORDER_FINISHED", meaning="it is over")),
        not_found=(codes("ORDER_NOT_FOUND", meaning="no such order"),),
        busy=(codes("TOO_FAST", "TOO_MANY_REQUESTS", "TOO_BUSY", meaning="too many requests"),),
    ),
),)
