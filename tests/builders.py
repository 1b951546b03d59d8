"""Nouns for the tables of the core: an order, a sight of it, an exchange's report."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from exchange_kernel.api import AmendQuantity, DuplicateIdsRefused, ExpiryCheck, LookupAuthority, OrderIntentSpec, OrderIntentStatus, TradingMode
from exchange_kernel.core.answers import ExchangeOrder, Fee, OrderStatus, Trade
from exchange_kernel.core.order import AccountFacts, Now, OrderRecord, Seen
from exchange_kernel.core.sending import SendRecord, SendStage
from exchange_kernel.core.venue import Capabilities, MarketRules

T0 = 1_800_000_000_000  # the venue's time (ms) at which an order of these tests was created
DAY_MS = 86_400_000
IDS = {number: f"aaaaaa{number:026x}" for number in range(1, 12)}


def a_venue(**changes: Any) -> Capabilities:
    values: dict[str, Any] = {
        "client_order_id_codec": "hex32",
        "client_order_id_max_length": 36,
        "duplicate_ids_refused": DuplicateIdsRefused.WHILE_OPEN,
        "lookup": LookupAuthority.AUTHORITATIVE,
        "lookup_delay_ms": 1000,
        "request_window_ms": 3000,
        "accepts_ahead_ms": 1000,
        "expiry_check": ExpiryCheck.BY_ENGINE,
        "retention_ms": 90 * DAY_MS,
        "amend": AmendQuantity.NONE,
        "cancel_by_client_id": True,
        "order_types": frozenset({"Market", "Limit"}),
        "times_in_force": frozenset({"GTC", "IOC", "FOK"}),
        "post_only": True,
        "reduce_only": False,
    }
    return Capabilities(**{**values, **changes})


def a_market(**changes: Any) -> MarketRules:
    values: dict[str, Any] = {
        "symbol": "BTC/USDT",
        "base": "BTC",
        "quote": "USDT",
        "active": True,
        "quantity_step": Decimal("0.00001"),
        "price_step": Decimal("0.01"),
        "min_quantity": Decimal("0.00001"),
        "max_quantity": Decimal(9000),
        "min_notional": Decimal(5),
    }
    return MarketRules(**{**values, **changes})


def a_spec(**changes: Any) -> OrderIntentSpec:
    values: dict[str, Any] = {"accountRef": {"name": "main"}, "symbol": "BTC/USDT", "side": "Buy", "type": "Limit", "quantity": "1", "price": "50000"}
    values.update(changes)
    return OrderIntentSpec.model_validate({key: value for key, value in values.items() if value is not None})


def a_status(**values: Any) -> OrderIntentStatus:
    return OrderIntentStatus.model_validate(values)


def an_attempt(number: int = 1, stage: str = "Live", **changes: Any) -> dict[str, Any]:
    return {"number": number, "clientOrderId": IDS[number], "stage": stage, "quantity": "1", "price": "50000", **changes}


def an_order(
    *, spec: OrderIntentSpec | None = None, attempts: list[dict[str, Any]] | None = None, status: dict[str, Any] | None = None, **changes: Any
) -> OrderRecord:
    values: dict[str, Any] = {
        "uid": "uid-1",
        "namespace": "default",
        "name": "order",
        "generation": 1,
        "resource_version": "7",
        "created_ms": T0,
        "spec": spec or a_spec(),
        "status": a_status(**{**(status or {}), **({"attempts": attempts} if attempts else {})}),
    }
    return OrderRecord(**{**values, **changes})


def a_report(
    number: int = 1, status: OrderStatus = OrderStatus.OPEN, filled: str = "0", quantity: str = "1", price: str | None = "50000", **changes: Any
) -> ExchangeOrder:
    values: dict[str, Any] = {
        "client_order_id": IDS[number],
        "exchange_order_id": str(1000 + number),
        "symbol": "BTC/USDT",
        "side": "Buy",
        "type": "Limit",
        "status": status,
        "quantity": Decimal(quantity),
        "filled_quantity": Decimal(filled),
        "filled_quote_quantity": Decimal(filled) * Decimal(price or "50000"),
        "price": Decimal(price) if price is not None else None,
        "update_time_ms": T0 + 10,
    }
    return ExchangeOrder(**{**values, **changes})


def a_trade(trade_id: str, quantity: str, number: int = 1, price: str = "50000", fee: str = "0.001") -> Trade:
    return Trade(
        trade_id=trade_id,
        symbol="BTC/USDT",
        exchange_order_id=str(1000 + number),
        quantity=Decimal(quantity),
        price=Decimal(price),
        time_ms=T0 + 20,
        fee=Fee("BTC", Decimal(fee)),
    )


def a_send(stage: SendStage, number: int = 1, **changes: Any) -> SendRecord:
    return SendRecord(IDS[number], stage, **changes)


def an_account(**changes: Any) -> AccountFacts:
    values: dict[str, Any] = {
        "uid": "account-1",
        "exchange": "binance",
        "fingerprint": "354937868",
        "capabilities": a_venue(),
        "trading_mode": TradingMode.ENABLED,
        "send_first": True,
        "ready": True,
        "session_start_ms": T0,
        "markets_ms": T0,
    }
    return AccountFacts(**{**values, **changes})


def a_sight(*, new: bool = False, account: AccountFacts | None = None, **changes: Any) -> Seen:
    values: dict[str, Any] = {"new": new, "account": account or an_account(), "market": a_market(), "ids": IDS}
    return Seen(**{**values, **changes})


def at(after_ms: int) -> Now:
    return Now(venue_ms=T0 + after_ms, wall_ms=T0 + after_ms)


def when(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
