"""What a kernel answers about markets, assets and holdings, from what the operator tells of them, or its parts in process. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from exchange_kernel.api import AccountCapabilities, AssetBalance, HeldPosition, HeldSide, MarketPriceBand, MarketSpec, MarketType, OrderType, PositionSide
from exchange_kernel.core.market_rules import breaks_rules, not_offered, request_for, unsent_parameters
from exchange_kernel.core.venue import Capabilities, MarketRules, PriceBand
from exchange_kernel.kernel.models import AccountState, AssetMetadata, Balance, Position
from exchange_kernel.schema import StandardOrder, SymbolMetadata


@dataclass(frozen=True, slots=True)
class KnownMarket:
    rules: MarketRules
    order_types: Collection[str]  # what the exchange's adapter offers there


def market_of(spec: MarketSpec) -> KnownMarket:
    """From what the operator wrote."""
    rules = MarketRules(
        symbol=spec.symbol,
        base=spec.base,
        quote=spec.quote,
        active=spec.active,
        quantity_step=spec.quantity_step,
        price_step=spec.price_step,
        min_quantity=spec.min_quantity,
        max_quantity=spec.max_quantity,
        min_price=spec.min_price,
        max_price=spec.max_price,
        min_notional=spec.min_notional,
        contract_size=spec.contract_size,
        order_types=frozenset(spec.order_types) or None,
        post_only=spec.post_only,
        native_groups=frozenset(spec.native_groups) if spec.native_groups is not None else None,
        buy_band=_band(spec.buy_price_band),
        sell_band=_band(spec.sell_price_band),
        max_open_orders=spec.max_open_orders,
        max_trigger_orders=spec.max_trigger_orders,
    )
    return KnownMarket(rules, spec.order_types)


def venue_of(known: AccountCapabilities) -> Capabilities:
    """From what the operator wrote of an account."""
    return Capabilities(
        client_order_id_codec=known.client_order_id_codec,
        client_order_id_max_length=known.client_order_id_max_length,
        duplicate_ids_refused=known.duplicate_ids_refused,
        lookup=known.lookup,
        lookup_delay_ms=known.lookup_delay_milliseconds,
        request_window_ms=known.request_window_milliseconds,
        accepts_ahead_ms=known.accepts_ahead_milliseconds,
        expiry_check=known.expiry_check,
        retention_ms=known.retention_seconds * 1000,
        amend=known.amend,
        replace=known.replace,
        cancel_by_client_id=known.cancel_by_client_id,
        order_types=frozenset(known.order_types),
        times_in_force=frozenset(known.times_in_force),
        post_only=known.post_only,
        reduce_only=known.reduce_only,
        trigger_prices=frozenset(known.trigger_price_types),
        trailing_units=frozenset(known.trailing_units),
        hedge_mode=known.hedge_mode,
        native_groups=frozenset(known.native_groups),
        taker_fee=known.taker_fee,
    )


def _band(band: MarketPriceBand | None) -> PriceBand | None:
    return PriceBand(band.lowest, band.highest) if band is not None else None


def market_problem(order: StandardOrder, market: KnownMarket) -> str | None:
    """The first of its market's rules that an order breaks, as a sentence. What it breaks between its own fields is told by whoever checks those."""
    problem = unsent_parameters(order)
    if problem is None and market.order_types:
        problem = not_offered(order.type, market.order_types)
    if problem is None:
        problem = breaks_rules(request_for(order, "", market.rules, quantity=order.quantity), market.rules)
    return problem if problem is None or not order.problems() else None


def symbol_metadata(market: KnownMarket) -> SymbolMetadata:
    rules = market.rules
    settle = rules.symbol.partition(":")[2].partition("-")[0]
    return SymbolMetadata(
        symbol_id=rules.symbol,
        base_asset_id=rules.base,
        quote_asset_id=rules.quote,
        settle_asset_id=settle or None,
        market_type=_market_type(rules.symbol),
        active=rules.active,
        quantity_step=rules.quantity_step,
        price_step=rules.price_step,
        min_quantity=rules.min_quantity,
        max_quantity=rules.max_quantity,
        min_notional=rules.min_notional,
        contract_size=rules.contract_size,
        order_types=tuple(kind for kind in OrderType if kind in market.order_types),
    )


def _market_type(symbol: str) -> MarketType:
    """As ccxt writes it: BASE/QUOTE, BASE/QUOTE:SETTLE, …-DATE, …-DATE-STRIKE-C."""
    _, derivative, settle = symbol.partition(":")
    if not derivative:
        return MarketType.SPOT
    return (MarketType.SWAP, MarketType.FUTURE)[settle.count("-")] if settle.count("-") < 2 else MarketType.OPTION


def asset_metadata(asset_id: str, markets: Iterable[KnownMarket]) -> AssetMetadata | None:
    """None: no market trades it, or is paid in it."""
    traded = [market.rules for market in markets if asset_id in (market.rules.base, market.rules.quote)]
    return AssetMetadata(asset_id=asset_id, active=any(rules.active for rules in traded)) if traded else None


def account_state(
    exchange_id: str,
    account: str,
    balances: Iterable[AssetBalance],
    positions: Iterable[HeldPosition],
    *,
    time: datetime,
    answer_time: datetime,
    settled: bool,
    truncated: bool,
    now: datetime,
) -> AccountState:
    age = max(0.0, (now - answer_time).total_seconds())
    found = [position(one, time=time, age_seconds=age) for one in positions]
    return AccountState(
        exchange_id=exchange_id,
        account=account,
        balances=tuple(balance(one) for one in balances),
        positions=tuple(sorted(found, key=lambda one: (one.symbol_id, one.side))),
        time=time,
        answer_time=answer_time,
        settled=settled,
        truncated=truncated,
        age_seconds=age,
    )


def balance(held: AssetBalance) -> Balance:
    return Balance(asset_id=held.asset, free=held.free, used=held.locked, total=held.free + held.locked)


def position(held: HeldPosition, *, time: datetime, age_seconds: float) -> Position:
    net = PositionSide.LONG if held.quantity > 0 else PositionSide.SHORT
    return Position(
        symbol_id=held.symbol,
        side=net if held.side is HeldSide.NET else PositionSide(held.side),
        quantity=abs(held.quantity),
        contract_size=held.contract_size,
        entry_price=held.entry_price,
        unrealized_pnl=held.unrealized_pnl,
        time=time,
        age_seconds=age_seconds,
    )
