"""Gate, spot [gate.com/docs/developers/apiv4: Spot; error labels]."""

from __future__ import annotations

from typing import Any

from exchange_kernel.api import ExpiryCheck
from exchange_kernel.exchanges.ccxt.dialect import BALANCE, RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import IMMEDIATE, WINDOW_MS, Row


def read_error(document: Any) -> tuple[str, str] | None:
    if not isinstance(document, dict) or not isinstance(document.get("label"), str):
        return None
    return document["label"], str(document.get("message") or document.get("detail") or "")


ROWS = (Row(
    exchange_id="gate", market_type="spot", options={"unifiedAccount": False, "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}},
    id_codec="hex28", id_max_length=28, id_pattern="[-.0-9A-Za-z_]{1,28}",     # after t- [Create an order, text]
    id_sent=str, id_written=lambda ours: f"t-{ours}", id_read=lambda theirs: theirs.removeprefix("t-"),
    cancel_by=lambda written, symbol: ("cancel_order", (written, symbol)),     # in the id's place [Cancel a single order]; the unified key is ignored [ccxt]
    read_error=read_error, succeeded=lambda document: isinstance(document, dict | list) and document != {},
    time_header="x-gate-exptime", expiry_parameter="x-gate-exptime", window_ms=WINDOW_MS, expiry_check=ExpiryCheck.ON_ARRIVAL,     # [Create an order]
    open_page=100, create_batch=10, cancel_batch=20,           # per pair and page [List all open orders; Create a batch of orders; Cancel a batch]
    dead_man_switch=True,                                      # [Countdown cancel orders]
    times_in_force=IMMEDIATE, post_only=True,
    words=words(
        "gate.com/docs/developers/apiv4: error labels",
        duplicates=(codes("REPEATED_CREATION", meaning="the order was created before"),),
        refusals=(
            codes("BALANCE_NOT_ENOUGH", "QUANTITY_NOT_ENOUGH", meaning="insufficient balance", kind=BALANCE),
            codes("INVALID_PRECISION", "AMOUNT_TOO_LITTLE", "AMOUNT_TOO_MUCH", meaning="the quantity, or its decimals", kind=RULES),
            codes("INVALID_CURRENCY_PAIR", meaning="no such market", kind=RULES),
            codes("POC_FILL_IMMEDIATELY", meaning="a post-only order would take"),
            codes("PRICE_TOO_DEVIATED", meaning="the price is too far off"),
            codes("INVALID_KEY", "INVALID_SIGNATURE", "IP_FORBIDDEN", "READ_ONLY", "FORBIDDEN",
                  meaning="key, signature, address or permission: before anything is done"),
            codes("ACCOUNT_LOCKED", "TRADE_RESTRICTED", meaning="the account or the market is restricted"),
            codes("TOO_MANY_ORDERS", meaning="too many open orders"),
        ),
        time=(codes("REQUEST_EXPIRED", meaning="x-gate-exptime has passed"),),
        unknown_order=(
            codes("ORDER_NOT_FOUND", "CLIENT_ID_NOT_FOUND", meaning="no such order"),
            codes("ORDER_CLOSED", "ORDER_CANCELLED", meaning="it is over"),
        ),
        busy=(codes("TOO_FAST", "TOO_MANY_REQUESTS", "TOO_BUSY", meaning="too many requests"),),
    ),
),)
