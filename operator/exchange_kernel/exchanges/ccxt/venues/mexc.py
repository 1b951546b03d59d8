"""MEXC, spot [mexc.com/api-docs/spot-v3; github.com/mexcdevelop/apidocs, spot_v3_en]."""

from __future__ import annotations

from typing import Any

from exchange_kernel.api import DuplicateIdsRefused, ExpiryCheck
from exchange_kernel.exchanges.ccxt.dialect import BALANCE, CLOSED, RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import DAY_MS, IMMEDIATE, WINDOW_MS, Row, cancel_by_ours, lookup_by_ours


def read_error(document: Any) -> tuple[str, str] | None:
    if not isinstance(document, dict) or type(document.get("code")) is not int or document["code"] in (0, 200):
        return None
    return str(document["code"]), str(document.get("msg", ""))


ROWS = (Row(
    exchange_id="mexc", market_type="spot",
    options={"defaultType": "spot", "recvWindow": WINDOW_MS},  # ccxt loads the swaps' markets too, whatever it is told
    without_headers=("source",),                               # ccxt's name as a broker
    cancel_by=cancel_by_ours, lookup_by=lookup_by_ours,        # origClientOrderId [Cancel Order; Query Order]
    # Limit only: the quantity of a market buy is of the quote [New Order, quoteOrderQty].
    ended=("fetch_orders",), ended_page=500, open_page=1000,   # default 500 [All Orders]; no pages [Current Open Orders]
    read_error=read_error, succeeded=lambda document: isinstance(document, dict | list) and document != {},
    window_ms=WINDOW_MS, expiry_parameter="recvWindow", expiry_check=ExpiryCheck.ON_ARRIVAL,   # timestamp < serverTime + 1000 [Timing security]
    id_max_length=32, duplicates=DuplicateIdsRefused.NEVER,    # neither is documented
    retention_ms=7 * DAY_MS, orders_horizon_ms=7 * DAY_MS, trades_horizon_ms=30 * DAY_MS,      # a week [All Orders]; a month [Account Trade List]
    create_batch=20,                                           # [Batch Orders]
    times_in_force=IMMEDIATE, post_only=True,                  # LIMIT_MAKER, IMMEDIATE_OR_CANCEL, FILL_OR_KILL [Order type]
    words=words(
        "github.com/mexcdevelop/apidocs, spot_v3_en: Error Code",
        refusals=(
            codes("400", "401", "602", "10072", "700001", "700002", "700006", "700007",
                  meaning="key, signature, address or permission: before anything is done"),
            codes("700004", "700005", "700008", meaning="a parameter is missing, too large or malformed"),
            codes("10007", "30014", "30021", meaning="no such market", kind=RULES),
            codes("10096", "10097", meaning="the quantity, or its decimals", kind=RULES),
            codes("10101", "30004", "30005", meaning="insufficient balance", kind=BALANCE),
            codes("30000", "30016", meaning="trading in the market is suspended", kind=CLOSED),
            codes("30001", "30018", "30019", "30020", "30041", meaning="the market takes no such orders, or not from this account"),
            codes("30002", "30003", meaning="the order's value is out of its limits", kind=RULES),
            codes("30010", meaning="no valid price"),
            codes("30025", meaning="no orders on the other side"),
            codes("30027", "30028", "30029", "30032", meaning="limits of holding, of risk or of open orders"),
            codes("60005", "70011", meaning="the account may not trade"),
        ),
        time=(codes("700003", meaning="the timestamp is outside of recvWindow"),),
        unknown_order=(codes("-2011", meaning="unknown order sent"),),
        busy=(codes("429", meaning="too many requests"),),
    ),
),)
