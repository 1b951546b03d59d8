"""Kraken, spot [docs.kraken.com: Spot REST; support.kraken.com: API error messages]."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from exchange_kernel.api import DuplicateIdsRefused, ExpiryCheck
from exchange_kernel.exchanges.ccxt.dialect import BALANCE, CLOSED, RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import HOUR_MS, Row, Triggers, cancel_by_ours


def read_error(document: Any) -> tuple[str, str] | None:
    """One error, which is its own code. Several say nothing together that is listed."""
    match document:
        case {"error": [str(only)]}:
            return only, only
        case {"error": [_, *_] as several}:
            return "several", " ".join(map(str, several))
    return None


def deadline(stamp: int) -> dict[str, str]:
    """"The engine will prevent this order from matching after this time": from half a second to sixty after now. [Add Order, deadline]"""
    return {"deadline": datetime.fromtimestamp((stamp + 5000) / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _kind(source: Mapping[str, Any]) -> str:
    return "Stop" if source.get("stopLossPrice") is not None else "TakeProfit"


ROWS = (Row(
    exchange_id="kraken", market_type="spot", increasing_nonce=True, deadline=deadline, expiry_parameter="deadline",
    window_ms=5000, expiry_check=ExpiryCheck.ON_ARRIVAL,       # the engine keeps it; but that an order is listed at once, nobody promises
    market_params={},                                          # volume is of the base unless a flag says otherwise [Add Order, oflags viqc]
    triggers=Triggers(                                         # order types of the one book, under the one id to their end [Add Order, ordertype]
        stop="stopLossPrice", take_profit="takeProfitPrice", kind=_kind,
        prices={"Last": {"trigger": "last"}, "Index": {"trigger": "index"}},       # [Add Order, trigger]
    ),
    cancel_by=cancel_by_ours,                                  # cl_ord_id [Cancel Order]; ccxt's lookup by it sends another field
    listed_by="clientOrderId",                                 # cl_ord_id [Get Open Orders; Get Closed Orders]
    ended_page=50, open_page=500,                              # fifty results at a time [Get Closed Orders]; no pages [Get Open Orders]
    read_error=read_error, errors_in_200=True,
    succeeded=lambda document: isinstance(document, dict) and document.get("error") == [] and bool(document.get("result")),
    id_max_length=36,                                          # 32 hex digits are one of its three forms [Client Order Identifiers]
    id_pattern="[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|.{1,18}",
    duplicates=DuplicateIdsRefused.WHILE_OPEN,                 # "verifies uniqueness across open orders" [Client Order Identifiers]
    retention_ms=24 * HOUR_MS, times_in_force=frozenset({"GTC", "IOC"}), post_only=True,
    create_batch=15, cancel_batch=50,                          # [Add Order Batch; Cancel Order Batch]
    dead_man_switch=True,                                      # [Cancel All Orders After X]
    words=words(
        "support.kraken.com: API error messages",
        refusals=(
            codes("EOrder:Insufficient funds", meaning="insufficient balance", kind=BALANCE),
            codes("EOrder:Order minimum not met", "EOrder:Cost minimum not met", meaning="the quantity or its value is below the minimum", kind=RULES),
            codes("EOrder:Tick size check failed", "EOrder:Invalid price", meaning="the price", kind=RULES),
            codes("EOrder:Orders limit exceeded", "EOrder:Positions limit exceeded", meaning="too many open orders or positions"),
            codes("EOrder:Cannot open position", meaning="the account may not open it"),
            codes("EGeneral:Permission denied", "EAPI:Invalid key", "EAPI:Invalid signature", meaning="permission, key or signature: before anything is done"),
            codes("EQuery:Unknown asset pair", "EQuery:Invalid asset pair", meaning="no such market", kind=RULES),
            codes("EGeneral:Invalid arguments:volume", "EGeneral:Invalid arguments:price", meaning="a parameter's value"),
            codes("EService:Market in cancel_only mode", "EService:Market in post_only mode", meaning="the market takes no such orders now", kind=CLOSED),
        ),
        unknown_order=(codes("EOrder:Unknown order", meaning="no such open order"),),
        busy=(
            codes("EAPI:Rate limit exceeded", "EOrder:Rate limit exceeded", "EGeneral:Too many requests", meaning="rate limit"),
            codes("EGeneral:Temporary lockout", meaning="locked out for a while"),
        ),
    ),
),)
