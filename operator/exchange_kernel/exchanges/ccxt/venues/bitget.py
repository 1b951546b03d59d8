"""Bitget, spot [bitget.com/api-doc: Spot, Trade; error codes]."""

from __future__ import annotations

from exchange_kernel.api import DuplicateIdsRefused
from exchange_kernel.exchanges.ccxt.dialect import BALANCE, RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import DAY_MS, IMMEDIATE, Row, cancel_by_ours, lookup_by_ours
from exchange_kernel.exchanges.ccxt.venues.kucoin import coded

ROWS = (Row(
    exchange_id="bitget", market_type="spot", options={"uta": False, "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "broker": ""},
    cancel_by=cancel_by_ours, lookup_by=lookup_by_ours,        # clientOid [Cancel Order; Get Order Info]
    ended=("fetch_canceled_and_closed_orders",), trades_by="orderId", open_page=100,
    account_method="privateSpotGetV2SpotAccountInfo", account_number=("data", "userId"),           # [Get Account Information]
    read_error=coded("00000"), errors_in_200=True,
    succeeded=lambda document: isinstance(document, dict) and document.get("code") == "00000" and document.get("data") is not None,
    id_max_length=32, duplicates=DuplicateIdsRefused.WHILE_OPEN, times_in_force=IMMEDIATE, post_only=True,
    orders_horizon_ms=90 * DAY_MS, trades_horizon_ms=90 * DAY_MS,      # [Get History Orders; Get Fills]
    create_batch=50, cancel_batch=50,                          # [Batch Place Orders; Batch Cancel Orders]
    words=words(
        "bitget.com/api-doc: error codes",
        duplicates=(codes("40786", "40708", "43118", "45034", "50060", "25212", meaning="duplicate clientOid, in six places"),),
        refusals=(
            codes("43012", meaning="insufficient balance", kind=BALANCE),
            codes("45110", meaning="below the minimum", kind=RULES),
            codes("40006", "40009", "40012", "40014", "40018", meaning="key, signature, passphrase, permissions or address: before anything is done"),
        ),
        time=(codes("40005", "40008", meaning="the timestamp is invalid, or has expired"),),
        unknown_order=(codes("43001", meaning="the order does not exist"),),
        not_found=(codes("43001", meaning="the order does not exist"),),
        busy=(codes("429", meaning="too many requests"),),
    ),
),)
