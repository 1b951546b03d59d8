"""What a kernel answers about markets, assets and holdings, from what an adapter says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from exchange_kernel.api import MarketType, OrderType, PositionSide
from exchange_kernel.core import answers
from exchange_kernel.core.venue import Capabilities, MarketRules
from exchange_kernel.kernel.models import AssetMetadata, Balance, Position
from exchange_kernel.schema import SymbolMetadata


def symbol_metadata(market: MarketRules, venue: Capabilities) -> SymbolMetadata:
    settle = market.symbol.partition(":")[2].partition("-")[0]
    return SymbolMetadata(
        symbol_id=market.symbol,
        base_asset_id=market.base,
        quote_asset_id=market.quote,
        settle_asset_id=settle or None,
        market_type=_market_type(market.symbol),
        active=market.active,
        quantity_step=market.quantity_step,
        price_step=market.price_step,
        min_quantity=market.min_quantity,
        max_quantity=market.max_quantity,
        min_notional=market.min_notional,
        contract_size=market.contract_size,
        order_types=tuple(kind for kind in OrderType if kind in venue.order_types),
    )


def _market_type(symbol: str) -> MarketType:
    """As ccxt writes it: BASE/QUOTE, BASE/QUOTE:SETTLE, …-DATE, …-DATE-STRIKE-C."""
    _, derivative, settle = symbol.partition(":")
    if not derivative:
        return MarketType.SPOT
    return (MarketType.SWAP, MarketType.FUTURE)[settle.count("-")] if settle.count("-") < 2 else MarketType.OPTION


def asset_metadata(asset_id: str, markets: Iterable[MarketRules]) -> AssetMetadata | None:
    """None: no market trades it, or is paid in it."""
    traded = [market for market in markets if asset_id in (market.base, market.quote)]
    return AssetMetadata(asset_id=asset_id, active=any(market.active for market in traded)) if traded else None


def balance(held: answers.Balance) -> Balance:
    return Balance(asset_id=held.asset, free=held.free, used=held.locked, total=held.free + held.locked)


def positions(
    markets: Mapping[str, MarketRules], balances: Iterable[answers.Balance], held: Iterable[answers.Position], *, time: datetime, age_seconds: float
) -> list[Position]:
    """Derivatives as the exchange has them, by symbol and side; on spot what is held of each active market's base asset, unless that is dust."""
    totals = {one.asset: one.free + one.locked for one in balances}
    found = [
        Position(symbol_id=market.symbol, side=PositionSide.LONG, quantity=totals[market.base], time=time, age_seconds=age_seconds)
        for market in markets.values()
        if market.contract_size is None and market.active and totals.get(market.base, Decimal(0)) >= _smallest(market)
    ]
    for one in held:
        if one.quantity == 0:
            continue
        side = PositionSide(one.side) if one.side != "Net" else PositionSide.LONG if one.quantity > 0 else PositionSide.SHORT
        market = markets.get(one.symbol)
        found.append(
            Position(
                symbol_id=one.symbol,
                side=side,
                quantity=abs(one.quantity),
                contract_size=market.contract_size if market is not None else None,
                entry_price=one.entry_price,
                unrealized_pnl=one.unrealised_pnl,
                time=time,
                age_seconds=age_seconds,
            )
        )
    return sorted(found, key=lambda position: (position.symbol_id, position.side))


def _smallest(market: MarketRules) -> Decimal:
    """Less than this can't be sold there."""
    return max(market.min_quantity or Decimal(0), market.quantity_step or Decimal(0), Decimal("1e-30"))
