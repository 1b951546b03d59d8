"""Coinbase, Advanced Trade [docs.cdp.coinbase.com: Advanced Trade API, Orders]."""

from __future__ import annotations

from typing import Any

from exchange_kernel.api import DuplicateIdsRefused
from exchange_kernel.exchanges.ccxt.dialect import BALANCE, RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import IMMEDIATE, Row


def read_error(document: Any) -> tuple[str, str] | None:
    match document:
        case {"error_response": {"error": str(code), **rest}}:
            reason = rest.get("preview_failure_reason") or code
            return (str(reason) if code == "UNKNOWN_FAILURE_REASON" else code), str(rest.get("message", ""))
        case {"error": str(code)}:
            return code, str(document.get("message", ""))
    return None


#: One of these is in every answer that is not an error.
KEYS = {"success", "results", "order", "orders", "fills", "accounts", "data"}

ROWS = (Row(
    exchange_id="coinbase", market_type="spot", send_as="client_order_id",     # ccxt's unified key is dropped, and an id of its own sent [ccxt]
    options={"fetchMarkets": {"types": ["spot"]}, "brokerId": None},
    ended=("fetch_orders",), open_page=100, trades_by="order_ids",             # [List Orders; List Fills]
    read_error=read_error, errors_in_200=True,
    succeeded=lambda document: isinstance(document, dict) and document.get("success") is not False and not KEYS.isdisjoint(document),
    id_max_length=36, duplicates=DuplicateIdsRefused.NEVER,    # the order it has is answered again [Create Order, client_order_id]
    times_in_force=IMMEDIATE, post_only=True,
    words=words(
        "docs.cdp.coinbase.com: Create Order, error_response",
        refusals=(
            codes("INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND", meaning="insufficient balance", kind=BALANCE),
            codes("UNSUPPORTED_ORDER_CONFIGURATION", meaning="the market has no such orders"),
            codes("INVALID_LIMIT_PRICE_POST_ONLY", meaning="a post-only order would take"),
            codes("INVALID_PRICE_PRECISION", "INVALID_LIMIT_PRICE", meaning="the price", kind=RULES),
            codes("INVALID_SIZE_PRECISION", meaning="the quantity's decimals", kind=RULES),
            codes("INVALID_PRODUCT_ID", "INVALID_SIDE", meaning="market or side", kind=RULES),
        ),
    ),
),)
