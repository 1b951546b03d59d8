"""OKX [okx.com/docs-v5: Order Book Trading, Trade; Error Code]."""

from __future__ import annotations

from typing import Any

from exchange_kernel.api import DuplicateIdsRefused, ExpiryCheck
from exchange_kernel.exchanges.ccxt.dialect import BALANCE, CLOSED, RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import DAY_MS, HOUR_MS, IMMEDIATE, WINDOW_MS, Row, cancel_by_ours, lookup_by_ours


def read_error(document: Any) -> tuple[str, str] | None:
    """The code of the one order in it; the envelope's is 1, "operation failed", then."""
    if not isinstance(document, dict) or not isinstance(document.get("code"), str) or document["code"] == "0":
        return None
    match document.get("data"):
        case [{"sCode": str(code), "sMsg": str(message)}] if code != "0":
            return code, message
    return document["code"], str(document.get("msg", ""))


WORDS = words(
    "okx.com/docs-v5: Error Code",
    duplicates=(codes("51016", meaning="client order id already exists"),),
    refusals=(
        codes("50014", meaning="a parameter is empty"),
        codes("50027", meaning="the account is restricted from trading"),
        codes("50101", meaning="the key is one of demo trading and the request is not, or the other way: before anything is done"),
        codes("50105", "50111", "50113", meaning="passphrase, key or signature: before anything is done"),
        codes("50110", meaning="the address is not on the key's list"),
        codes("51000", "51001", meaning="a parameter's value; no such instrument", kind=RULES),
        codes("51004", "51005", meaning="the amount exceeds the tier's or the order's limit"),
        codes("51006", "51116", "51122", "51136", "51137", "51138", meaning="the price is out of its limits", kind=RULES),
        codes("51008", "51119", "51127", "51131", meaning="insufficient balance", kind=BALANCE),
        codes("51020", "51120", meaning="the amount is below the minimum", kind=RULES),
        codes("51121", meaning="the amount is not a multiple of the lot", kind=RULES),
        codes("51021", "51022", meaning="the contract is not listed yet, or suspended", kind=CLOSED),
        codes("51029", "51030", meaning="the contract, or its funding fee, is being settled", kind=CLOSED, source="ccxt 4.5: okx.py, exceptions"),
        codes("51027", "51028", meaning="the contract is expired or under delivery", kind=RULES),
        codes("51202", "51203", meaning="the amount is above a market order's or an order's maximum", kind=RULES),
        codes("51205", meaning="reduce-only is not available"),
    ),
    time=(codes("50102", meaning="the request's timestamp has expired"),),
    unknown_order=(
        codes("51400", meaning="it was filled, cancelled or does not exist"),
        codes("51401", meaning="it is already cancelled"),
        codes("51402", meaning="it is already completed"),
        codes("51603", meaning="it does not exist"),
    ),
    not_found=(codes("51603", meaning="the order does not exist"),),
    busy=(
        codes("50011", meaning="rate limit"), codes("50013", meaning="the system is busy"), codes("50061", meaning="rate limit of the sub-account"),
    ),
)


def _row(market_type: str) -> Row:
    derivative = market_type != "spot"
    return Row(
        exchange_id="okx", market_type=market_type,
        options={"createOrder": "privatePostTradeOrder", "fetchMarkets": {"types": [market_type]}, "defaultType": market_type, "fetchCurrencies": False,
                 "brokerId": ""},
        market_params={} if derivative else {"tgtCcy": "base_ccy"},                 # else the quantity of a market buy is of the quote [Place order, tgtCcy]
        hedge={"Long": {"posSide": "long"}, "Short": {"posSide": "short"}} if derivative else {},       # [Place order, posSide]
        hedge_takes_reduce_only=False,                                              # "FUTURES/SWAP orders in net mode" only [Place order, reduceOnly]
        cancel_by=cancel_by_ours, lookup_by=lookup_by_ours,                         # clOrdId [Cancel order; Order details]
        open_params={"instType": market_type.upper()},                              # else those of all kinds [Order list, instType]
        ended=("fetch_closed_orders", "fetch_canceled_orders"),
        account_method="privateGetAccountConfig", account_number=("data", 0, "uid"),        # [Account configuration]
        read_error=read_error, errors_in_200=True,
        succeeded=lambda document: isinstance(document, dict) and document.get("code") == "0" and isinstance(document.get("data"), list),
        time_header="expTime", expiry_parameter="expTime", window_ms=WINDOW_MS, expiry_check=ExpiryCheck.ON_ARRIVAL,       # [Place order]
        id_max_length=32, id_pattern="[0-9A-Za-z]{1,32}",                           # [Place order, clOrdId]
        duplicates=DuplicateIdsRefused.WHILE_OPEN,                                  # among pending orders [Order details, clOrdId]
        retention_ms=2 * HOUR_MS,                                                   # cancelled without a fill [Order details]
        retention_filled_ms=7 * DAY_MS, orders_horizon_ms=7 * DAY_MS,               # [Order history (last 7 days)]
        trades_horizon_ms=90 * DAY_MS,                                              # [Transaction details (last 3 months)]
        open_page=100, create_batch=20, cancel_batch=20,                            # [Place multiple orders; Cancel multiple orders]
        dead_man_switch=True,                                                       # [Cancel All After]
        times_in_force=IMMEDIATE, post_only=True, reduce_only=derivative, words=WORDS,
    )


ROWS = (_row("spot"), _row("swap"))
