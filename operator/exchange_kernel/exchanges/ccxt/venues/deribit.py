"""Deribit, perpetuals settled in BTC [docs.deribit.com: JSON-RPC, private/buy; RPC Error Codes]."""

from __future__ import annotations

from typing import Any

from exchange_kernel.exchanges.ccxt.dialect import RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import DAY_MS, IMMEDIATE, Row


def read_error(document: Any) -> tuple[str, str] | None:
    match document:
        case {"error": {"code": int(code), "message": str(message)}}:
            return str(code), message
    return None


ROWS = (Row(
    exchange_id="deribit", market_type="swap", send_as="label",        # a tag of 64 characters, and no more: nothing refuses a second [private/buy]
    id_in="label", options={"defaultType": "swap"}, settle="BTC", read_error=read_error,          # one currency a list [private/get_open_orders_by_currency]
    succeeded=lambda document: isinstance(document, dict) and "result" in document,
    ended_page=20, open_page=20, times_in_force=IMMEDIATE, post_only=True, reduce_only=True, market_params={},
    id_max_length=64, id_pattern=".{1,64}",
    retention_ms=DAY_MS,                                       # cancelled without a fill [ccxt, features]
    words=words(
        "docs.deribit.com: RPC Error Codes",
        refusals=(
            codes("10002", meaning="the quantity is too low", messages=("qty_too_low",), kind=RULES),
            codes("10003", meaning="it would cross another order of ours", messages=("order_overlap",)),
            codes("10009", meaning="insufficient funds", messages=("not_enough_funds",)),
            codes("11054", meaning="a post-only order would take", messages=("post_only_reject",)),
            codes("13004", meaning="credentials: before anything is done", messages=("invalid_credentials",)),
            codes("13021", meaning="permission: before anything is done", messages=("forbidden",)),
        ),
        unknown_order=(
            codes("10004", meaning="no such order", messages=("order_not_found",)),
            codes("11044", meaning="it is not open", messages=("not_open_order",)),
        ),
        busy=(codes("10028", meaning="too many requests"),),
    ),
),)
