"""Binance USDⓈ-M futures [developers.binance.com: Derivatives, USDS-Margined Futures, Trade; Error Codes]."""

from __future__ import annotations

from exchange_kernel.api import DuplicateIdsRefused, ExpiryCheck
from exchange_kernel.exchanges.ccxt.binance_answers import read_error
from exchange_kernel.exchanges.ccxt.dialect import BALANCE, PASSED, RULES, Ban, codes, words
from exchange_kernel.exchanges.ccxt.row import DAY_MS, IMMEDIATE, WINDOW_MS, Row, cancel_by_ours, lookup_by_ours

ROWS = (Row(
    # No triggers: since 2025-12-09 they are a service of their own, with other ids, lists and cancels [change log, 2025-11-06; algoOrder].
    exchange_id="binanceusdm", market_type="swap", trades_by="orderId",
    skips=("load_leverage_brackets",),                         # asked for before the positions, for figures that are not read here [ccxt]
    options={"recvWindow": WINDOW_MS, "fetchMarkets": {"types": ["linear"]}, "fetchCurrencies": False, "fetchMargins": False, "defaultType": "swap",
             "timeDifference": 0, "adjustForTimeDifference": False, "warnOnFetchOpenOrdersWithoutSymbol": False},
    market_params={}, cancel_by=cancel_by_ours, lookup_by=lookup_by_ours,      # origClientOrderId [Cancel Order; Query Order]
    hedge={"Long": {"positionSide": "LONG"}, "Short": {"positionSide": "SHORT"}},      # [New Order, positionSide]
    hedge_takes_reduce_only=False,                             # "cannot be sent in Hedge Mode" [New Order, reduceOnly]
    ended=("fetch_orders",), ended_page=500, open_page=500,    # [All Orders, default limit]
    read_error=read_error, succeeded=lambda document: isinstance(document, dict | list) and document != {},
    window_ms=WINDOW_MS, expiry_parameter="recvWindow", expiry_check=ExpiryCheck.ON_ARRIVAL,   # [General Info, Timing Security]; no word of the engine
    id_max_length=36, id_pattern=r"[\.A-Z:/a-z0-9_-]{1,36}",  # [New Order, newClientOrderId]
    duplicates=DuplicateIdsRefused.WHILE_OPEN,                 # unique among open orders [New Order, newClientOrderId]
    retention_ms=3 * DAY_MS, retention_filled_ms=90 * DAY_MS,  # cancelled without a fill: three days; any: ninety [Query Order]
    orders_horizon_ms=90 * DAY_MS, trades_horizon_ms=180 * DAY_MS,     # [All Orders; Account Trade List]
    create_batch=5, cancel_batch=10, dead_man_switch=True,     # [Place Multiple Orders; Cancel Multiple Orders; Auto-Cancel All Open Orders]
    times_in_force=IMMEDIATE, post_only=True, reduce_only=True,
    longest_ban=Ban(3 * 24 * 3600, 'developers.binance.com: Rate limits: IP bans "scale in duration for repeat offenders, from 2 minutes to 3 days"'),
    words=words(
        "developers.binance.com: USDS-Margined Futures, Error Code",
        duplicates=(
            codes("-4116", meaning="the client order id is a duplicate"),
            codes("-2010", meaning="an open order has this client order id", messages=("Duplicate order sent.",)),
        ),
        refusals=(
            codes("-1022", "-2014", "-2015", meaning="signature or key: before anything is done"),
            codes("-1111", "-1121", meaning="decimal places; symbol", kind=RULES),
            codes("-2018", "-2019", meaning="balance or margin is insufficient", kind=BALANCE),
            codes("-2021", meaning="it would trigger at once", kind=PASSED),
            codes("-2022", meaning="reduce-only is rejected"),
            codes("-4003", "-4005", "-4023", meaning="the quantity's limits and steps", kind=RULES),
            codes("-4014", "-4016", "-4024", "-4131", meaning="the price's limits and steps", kind=RULES),
            codes("-4061", meaning="the order's position side does not fit the account's position mode"),
            codes("-4164", meaning="the notional is below the minimum", kind=RULES),
            codes("-5022", meaning="a post-only order would take"),
        ),
        time=(codes("-1021", meaning="the timestamp is outside of recvWindow, or ahead"),),
        unknown_order=(
            codes("-2011", meaning="no such open order", messages=("Unknown order sent.",)),
            codes("-2013", meaning="no such order", messages=("Order does not exist.",)),
        ),
        not_found=(codes("-2013", meaning="no such order", messages=("Order does not exist.",)),),
        busy=(codes("-1003", meaning="too many requests"), codes("-1015", meaning="too many new orders")),
    ),
),)
