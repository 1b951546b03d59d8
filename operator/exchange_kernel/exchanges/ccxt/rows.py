"""The rows of the table, by venue and market type; and those whose wire is known and not safe."""

from __future__ import annotations

from collections.abc import Mapping

from exchange_kernel.exchanges.ccxt.row import Row
from exchange_kernel.exchanges.ccxt.venues import (
    binanceusdm,
    bitget,
    bybit,
    coinbase,
    cryptocom,
    deribit,
    gate,
    gate_swap,
    htx,
    hyperliquid,
    kraken,
    kucoin,
    mexc,
    okx,
)

VENUES = (okx, bybit, kraken, coinbase, kucoin, gate, gate_swap, bitget, binanceusdm, hyperliquid, deribit, mexc, htx, cryptocom)

ROWS: Mapping[tuple[str, str], Row] = {(row.exchange_id, row.market_type): row for venue in VENUES for row in venue.ROWS}

#: Venues that can't be traded safely, and why. The sentence goes on after "... can't be traded safely: ".
REFUSED: Mapping[tuple[str, str], str] = {
    **{("bitfinex", market_type): (
        "its client order ids are whole numbers of 45 bits, unique for a day and not enforced: too few to name an order for ever, or an installation in it"
    ) for market_type in ("spot", "swap")},
    ("htx", "swap"): "its client order ids are whole numbers: too few to name an order for ever",
    ("krakenfutures", "swap"): (
        "it remembers an order for five seconds after its end, and what ccxt makes of its history shows an order as canceled that was only placed"
    ),
}
