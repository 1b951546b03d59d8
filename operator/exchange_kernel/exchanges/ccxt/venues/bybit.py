"""Bybit [bybit-exchange.github.io/docs/v5: Trade; Error Codes]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exchange_kernel.api import DuplicateIdsRefused, ExpiryCheck
from exchange_kernel.exchanges.ccxt.dialect import BALANCE, CLOSED, PASSED, RULES, Ban, codes, words
from exchange_kernel.exchanges.ccxt.row import DAY_MS, HOUR_MS, IMMEDIATE, WINDOW_MS, Asked, Row, Triggers


def read_error(document: Any) -> tuple[str, str] | None:
    if not isinstance(document, dict) or type(document.get("retCode")) is not int or document["retCode"] == 0:
        return None
    return str(document["retCode"]), str(document.get("retMsg", ""))


def _cancel(written: str, symbol: str) -> Asked:
    return "cancel_order", (None, symbol, {"orderLinkId": written})      # the unified key is ignored here [ccxt]


def _kind(source: Mapping[str, Any]) -> str:
    """By where the price comes from: a buy that waits for it to rise is a stop. [Place Order, triggerDirection: 1 rises, 2 falls]"""
    rises = source["info"].get("triggerDirection") in (1, "1")
    return "Stop" if rises == (source["side"] == "buy") else "TakeProfit"


#: Listed and cancelled like any other order: "returns all kinds of orders by default" [Get Open & Closed Orders, orderFilter].
TRIGGERS = Triggers(
    stop="triggerPrice", take_profit="triggerPrice",           # ccxt's stopLossPrice makes the order reduce-only
    prices={"Last": {"triggerBy": "LastPrice"}, "Mark": {"triggerBy": "MarkPrice"}, "Index": {"triggerBy": "IndexPrice"}},      # [Place Order, triggerBy]
    rising={"triggerDirection": "ascending"}, falling={"triggerDirection": "descending"}, kind=_kind,
)

WORDS = words(
    "bybit-exchange.github.io/docs/v5: Error Codes",
    duplicates=(codes("110072", meaning="OrderLinkedID is duplicate"), codes("170141", meaning="duplicate client order id")),
    refusals=(
        codes("10003", "10004", "10005", "10010", meaning="key, signature, permission or address: before anything is done"),
        codes("110003", meaning="the price exceeds the allowed range", kind=RULES),
        codes("110004", "110006", "110007", "110012", meaning="insufficient balance", kind=BALANCE),
        codes("110017", meaning="the reduce-only rule is not satisfied"),
        codes("110063", meaning="settlement is in progress: no trades now", kind=CLOSED, source="ccxt 4.5: bybit.py, exceptions"),
        codes("110092", "110093", meaning="its trigger has been passed", kind=PASSED, source="ccxt 4.5: bybit.py, exceptions"),
        codes("110094", meaning="the notional value is below the limit", kind=RULES),
        codes("170115", "170116", "170117", meaning="time in force, type or side"),
        codes("170121", meaning="symbol", kind=RULES),
        codes("170131", meaning="insufficient balance", kind=BALANCE),
        codes("170124", "170135", "170136", "170137", "170140", meaning="amount, its decimals or its minimum", kind=RULES),
        codes("170132", "170133", "170134", meaning="price, or its decimals", kind=RULES),
        codes("170151", meaning="not open for trading", kind=CLOSED),
        codes("170157", meaning="not to be traded by the API"),
        codes("170193", "170194", meaning="price cap or floor", kind=RULES),
        codes("170201", meaning="the account is restricted"),
    ),
    time=(codes("10002", meaning="the request's time exceeds the window"),),
    unknown_order=(
        codes("110001", "170139", "170213", meaning="no such order, or it is over"),
        codes("110008", "110010", meaning="it was finished or cancelled"),
        codes("170142", "170143", meaning="it was cancelled, or can't be found"),
    ),
    busy=(codes("10006", "10018", meaning="rate limit of the key or the address"),),
)


def _row(market_type: str) -> Row:
    derivative = market_type != "spot"
    return Row(
        exchange_id="bybit", market_type=market_type,
        options={"enableUnifiedMargin": False, "enableUnifiedAccount": True, "unifiedMarginStatus": 6, "recvWindow": WINDOW_MS, "defaultType": market_type,
                 "fetchMarkets": {"types": ["linear", "inverse"] if derivative else ["spot"]}, "brokerId": None},
        without_headers=("Referer",),                                               # ccxt's name as a broker
        market_params={} if derivative else {"marketUnit": "baseCoin"},             # else a spot market buy is of the quote [Place Order, marketUnit]
        triggers=TRIGGERS if derivative else None,                                  # on spot a triggered order may get another id
        hedge={"Long": {"positionIdx": 1}, "Short": {"positionIdx": 2}} if derivative else {},          # [Place Order, positionIdx]
        settle="USDT" if derivative else None,                                      # one settle coin a list [Get Open & Closed Orders, settleCoin]
        cancel_by=_cancel, lookup_by_theirs=False, listed_by="orderLinkId",         # [Cancel Order; Get Open & Closed Orders]
        ended=("fetch_canceled_and_closed_orders",), ended_page=20, open_page=20,   # default limit 20 [Get Order History]
        account_method="privateGetV5UserQueryApi", account_number=("result", "userID"),     # [Get API Key Information]
        read_error=read_error, errors_in_200=True,
        succeeded=lambda document: isinstance(document, dict) and document.get("retCode") == 0 and isinstance(document.get("result"), dict),
        window_ms=WINDOW_MS, expiry_parameter="X-BAPI-RECV-WINDOW", expiry_check=ExpiryCheck.ON_ARRIVAL,        # [Integration Guidance]
        id_max_length=36, id_pattern="[-0-9A-Za-z_]{1,36}",                         # [Place Order, orderLinkId]
        duplicates=DuplicateIdsRefused.WHILE_OPEN,                                  # "always unique" [Place Order, orderLinkId]
        retention_ms=24 * HOUR_MS,                                                  # cancelled without a fill [Get Order History]
        retention_filled_ms=730 * DAY_MS, orders_horizon_ms=730 * DAY_MS, trades_horizon_ms=730 * DAY_MS,      # [Get Order History; ccxt, features]
        create_batch=10, cancel_batch=10,                                           # the spot figures [Batch Place Order; Batch Cancel Order]
        dead_man_switch=True,                                                       # [Set Disconnect Cancel All]
        times_in_force=IMMEDIATE, post_only=True, reduce_only=derivative, words=WORDS,
        longest_ban=Ban(30 * 60, "bybit-exchange.github.io: Rate Limit: an address is banned for a set period, usually 30 minutes"),
    )


ROWS = (_row("spot"), _row("swap"))
