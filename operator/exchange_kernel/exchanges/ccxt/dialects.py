"""The table: every venue we speak, by ccxt's id and market type."""

from __future__ import annotations

from exchange_kernel.exchanges.ccxt.binance import BINANCE_SPOT
from exchange_kernel.exchanges.ccxt.dialect import Dialect

DIALECTS = {(row.exchange_id, row.market_type): row for row in (
    BINANCE_SPOT,
)}


def dialect_of(exchange_id: str, market_type: str) -> Dialect | None:
    return DIALECTS.get((exchange_id, market_type))
