"""Hyperliquid, perpetuals [hyperliquid.gitbook.io: API, Exchange endpoint; Error responses]."""

from __future__ import annotations

from typing import Any

from exchange_kernel.exchanges.ccxt.dialect import BALANCE, RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import Row, cancel_by_ours, lookup_by_ours


def read_error(document: Any) -> tuple[str, str] | None:
    match document:
        case {"status": "ok", "response": {"data": {"statuses": [{"error": str(message)}]}}}:
            return "order", message
        case {"status": "err", "response": str(message)}:
            return "err", message
        case {"status": "unknownOid"}:
            return "unknownOid", ""
    return None


#: One of these is in every answer that is no list: of the exchange endpoint and a lookup, the balance, the time.
KEYS = {"status", "assetPositions", "balances", "time"}

ROWS = (Row(
    exchange_id="hyperliquid", market_type="swap", options={"defaultType": "swap"},
    not_usable="what its account holds is asked for in two requests, of which the adapter makes one",      # userAbstraction, then the balance [ccxt]
    skips=("initialize_client",),                              # which would approve a fee for ccxt's builder, and set its referrer
    id_written=lambda ours: f"0x{ours}", id_read=lambda theirs: theirs.removeprefix("0x"),        # cloid: 128 bits in hex [Place an order]
    id_pattern="[0-9a-f]{32}",                                 # after 0x
    cancel_by=cancel_by_ours, lookup_by=lookup_by_ours,        # [Cancel order(s) by cloid; Info endpoint, Query order status by oid or cloid]
    ended=("fetch_orders",), ended_page=2000, open_page=1000,  # [Info endpoint, historical orders: 2000 at most]
    read_error=read_error, errors_in_200=True,
    succeeded=lambda document: isinstance(document, list) or (isinstance(document, dict) and not KEYS.isdisjoint(document)),
    dead_man_switch=True,                                      # [Schedule cancel]
    times_in_force=frozenset({"GTC", "IOC"}), post_only=True, reduce_only=True,        # [Order types: Gtc, Ioc, Alo]
    words=words(
        "hyperliquid.gitbook.io: Error responses",
        refusals=(
            codes("order", meaning="price or quantity off the market's grid", messages=(
                "Price must be divisible by tick size.%s", "Order has invalid size.%s", "Order has zero size.%s"), kind=RULES),
            codes("order", meaning="value below the minimum", messages=("Order must have minimum value of %s",), kind=RULES),
            codes("order", meaning="insufficient margin", kind=BALANCE, messages=("Insufficient margin to place order.%s",)),
            codes("order", meaning="reduce-only would increase the position", messages=("Reduce only order would increase position.%s",)),
            codes("order", meaning="a post-only order would take", messages=("Post only order would have immediately matched, bbo was %s",)),
            codes("order", meaning="an immediate order, and nothing to match it", messages=(
                "Order could not immediately match against any resting orders.%s", "No liquidity available for market order.%s")),
            codes("order", meaning="trigger price", messages=("Invalid TP/SL price.%s",)),
        ),
        unknown_order=(codes("order", meaning="no such open order", messages=("Order was never placed, already canceled, or filled.%s",)),),
        not_found=(codes("unknownOid", meaning="no such order", messages=("",), source="hyperliquid.gitbook.io: Info endpoint, Query order status"),),
    ),
),)
