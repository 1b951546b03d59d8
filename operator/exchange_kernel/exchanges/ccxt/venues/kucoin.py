"""KuCoin, spot [kucoin.com/docs-new: Spot Trading, Orders; Error codes]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exchange_kernel.exchanges.ccxt.dialect import BALANCE, CLOSED, RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import DAY_MS, IMMEDIATE, Row, cancel_by_ours, lookup_by_ours


def coded(success: str) -> Callable[[Any], tuple[str, str] | None]:
    """For venues that answer {"code": "...", "msg": "..."} with a code for success."""
    def read_error(document: Any) -> tuple[str, str] | None:
        if not isinstance(document, dict) or not isinstance(document.get("code"), str) or document["code"] == success:
            return None
        return document["code"], str(document.get("msg", ""))

    return read_error


MAPPED = "ccxt 4.5: kucoin.py, exceptions"

ROWS = (Row(
    exchange_id="kucoin", market_type="spot", skips=("load_migration_status",),
    options={"uta": False, "hf": True, "defaultType": "spot", "fetchMarkets": {"types": ["spot"], "fetchTickersFees": False}, "partner": {}},
    without_headers=("KC-API-PARTNER", "KC-API-PARTNER-SIGN", "KC-API-PARTNER-VERIFY"),        # ccxt's name as a broker
    market_params={},                                          # size is of the base, funds of the quote [Add Order]
    cancel_by=cancel_by_ours, lookup_by=lookup_by_ours,        # by clientOid [Cancel Order By ClientOid; Get Order By ClientOid]
    open_symbols=("privateGetHfOrdersActiveSymbols", ("data", "symbols")), open_page=1000,         # [Get Symbols With Open Order; Get Open Orders]
    ended_page=20,                                             # default limit [Get Closed Orders]
    read_error=coded("200000"), errors_in_200=True,
    succeeded=lambda document: isinstance(document, dict) and document.get("code") == "200000" and document.get("data") is not None,
    id_max_length=40, id_pattern="[-0-9A-Za-z_]{1,40}",        # [Add Order, clientOid]
    trades_horizon_ms=7 * DAY_MS, orders_horizon_ms=7 * DAY_MS,        # windows of a week [Get Closed Orders; Get Trade History]
    times_in_force=IMMEDIATE, post_only=True, create_batch=5,          # [Batch Add Orders]
    words=words(
        MAPPED,
        duplicates=(codes("126033", meaning="duplicate order"), codes("126044", meaning="the clientOid is a duplicate")),
        refusals=(
            codes("200004", "210021", "126013", meaning="insufficient balance", kind=BALANCE),
            codes("400001", "400003", "400004", "400005", "400006", meaning="header, key, passphrase, signature or address: before anything is done"),
            codes("400200", "411100", meaning="trading is forbidden, or the user frozen"),
            codes("400330", "400350", "400370", meaning="limits of price or holding"),
            codes("400600", "400760", meaning="the market is not open", kind=CLOSED),
            codes("400100", meaning="insufficient balance", kind=BALANCE, messages=("account.available.amount",)),
            codes("400100", kind=RULES, meaning="a parameter: size, price or market", messages=(
                "Order size below the minimum requirement.", "The quantity is below the minimum requirement.",
                "price not in the given range!", "Unsupported trading pair.")),
            codes("600100", meaning="size or value off the market's grid", kind=RULES,
                  messages=("Order size increment invalid.", "Funds below the minimum requirement.")),
            codes("600101", meaning="value below the minimum", kind=RULES, messages=("The order funds should more then %s",)),
        ),
        time=(codes("400002", meaning="KC-API-TIMESTAMP is more than five seconds off"),),
        unknown_order=(codes("400100", meaning="the order does not exist, or is over", messages=(
            "order_not_exist_or_not_allow_to_cancel", "Order not exist or not allow to be cancelled")),),
        not_found=(
            codes("400100", meaning="the order does not exist", messages=("order not exist", "order not exist.")),
            codes("order_not_exist", meaning="the order does not exist", messages=("order_not_exist",)),
        ),
        busy=(codes("429000", meaning="too many requests"),),
    ),
),)
