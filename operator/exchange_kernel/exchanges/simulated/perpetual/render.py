"""Orders, trades, positions and accounts in the shapes of the venue's answers [FuturesOrder, MyFuturesTrade, Position, FuturesAccount, Contract]."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchange_kernel.exchanges.simulated.orders import ZERO, Side
from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount
from exchange_kernel.exchanges.simulated.perpetual.contracts import SETTLE
from exchange_kernel.exchanges.simulated.perpetual.engine import Market, PerpetualEngine
from exchange_kernel.exchanges.simulated.perpetual.orders import Execution, Order, Slot
from exchange_kernel.exchanges.simulated.perpetual.positions import Position

Document = dict[str, Any]

SMALLEST = Decimal("1E-12")


def money(amount: Decimal) -> str:
    text = format(amount.quantize(SMALLEST), "f").rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def seconds(ms: int) -> float:
    return ms / 1000


def order(order: Order, engine: PerpetualEngine) -> Document:
    document: Document = {
        "id": order.order_id, "user": order.account.uid, "contract": order.contract.name, "create_time": seconds(order.time),
        "update_time": seconds(order.update_time), "size": str(order.sign * order.size), "left": str(order.sign * order.left), "iceberg": "0",
        "price": money(order.price), "fill_price": money(order.fill_price), "tif": order.tif, "text": order.text or "api", "is_close": order.is_close,
        "is_reduce_only": order.reduce_only, "is_liq": False, "tkfr": money(engine.taker_fee), "mkfr": money(engine.maker_fee), "refu": 0, "stp_id": 0,
        "stp_act": "-", "amend_text": "-", "status": "open" if order.open else "finished",
    }
    if order.finish_as is not None:
        document |= {"finish_time": seconds(order.update_time), "finish_as": order.finish_as}
    return document


def trade(execution: Execution) -> Document:
    return {
        "id": execution.trade_id, "create_time": seconds(execution.time), "contract": execution.contract.name, "order_id": str(execution.order_id),
        "size": str(execution.size), "close_size": str(execution.close_size), "price": money(execution.price),
        "role": "maker" if execution.is_maker else "taker", "text": execution.text or "api", "fee": money(execution.fee), "point_fee": "0",
    }


def trade_in_range(execution: Execution) -> Document:
    """The same, where the other endpoint calls the id otherwise [MyFuturesTradeTimeRange]."""
    document = trade(execution)
    return {"trade_id": str(document.pop("id")), **document}


def position(account: PerpetualAccount, position: Position, engine: PerpetualEngine) -> Document:
    contract, mark = position.contract, engine.mark(position.contract)
    value = abs(contract.value(position.size, mark))
    margin = account.initial_margin(position, engine.mark)
    return {
        "user": account.uid, "contract": contract.name, "size": str(position.size), "leverage": "0", "risk_limit": "0",
        "leverage_max": str(contract.max_leverage), "maintenance_rate": money(contract.maintenance_rate), "value": money(value), "margin": money(margin),
        "entry_price": money(position.entry_price), "liq_price": "0", "mark_price": money(mark), "initial_margin": money(margin),
        "maintenance_margin": money(value * contract.maintenance_rate), "unrealised_pnl": money(position.unrealised(mark)),
        "realised_pnl": money(position.closed_pnl - position.fees), "pnl_pnl": money(position.closed_pnl), "pnl_fund": "0", "pnl_fee": money(-position.fees),
        "history_pnl": "0", "last_close_pnl": "0", "realised_point": "0", "history_point": "0", "adl_ranking": 6,
        "pending_orders": sum(one.contract == contract and one.slot == position.slot for one in account.open.values()), "close_order": None,
        "mode": position.slot, "cross_leverage_limit": str(account.leverage[contract.name]), "update_time": position.updated_at // 1000,
        "update_id": position.updates, "open_time": position.opened_at // 1000, "pos_margin_mode": "cross",
    }


def positions(account: PerpetualAccount, market: Market, engine: PerpetualEngine) -> list[Document]:
    """Those of one contract, held or not, in the account's mode."""
    slots = (Slot.LONG, Slot.SHORT) if account.dual_mode else (Slot.SINGLE,)
    return [position(account, account.position(market.contract, slot), engine) for slot in slots]


def account(account: PerpetualAccount, engine: PerpetualEngine) -> Document:
    return {
        "user": account.uid, "currency": SETTLE, "total": money(account.balance), "unrealised_pnl": money(account.unrealised(engine.mark)),
        "position_margin": money(account.position_margin(engine.mark)), "position_initial_margin": money(account.position_margin(engine.mark)),
        "order_margin": money(account.order_margin()), "maintenance_margin": money(account.maintenance_margin(engine.mark)),
        "available": money(max(ZERO, account.available(engine.mark))), "point": "0", "bonus": "0", "in_dual_mode": account.dual_mode,
        "position_mode": "dual" if account.dual_mode else "single", "margin_mode": 0, "enable_credit": False,
    }


def contract(market: Market, engine: PerpetualEngine) -> Document:
    contract = market.contract
    return {
        "name": contract.name, "type": "direct", "quanto_multiplier": money(contract.multiplier), "enable_decimal": False, "status": "trading",
        "in_delisting": False, "leverage_min": "1", "leverage_max": str(contract.max_leverage), "maintenance_rate": money(contract.maintenance_rate),
        "mark_type": "index", "mark_price": money(market.mark), "index_price": money(market.mark), "last_price": money(market.tape.last),
        "maker_fee_rate": money(engine.maker_fee), "taker_fee_rate": money(engine.taker_fee), "order_price_round": money(contract.tick),
        "mark_price_round": money(contract.tick), "order_price_deviate": "0.5", "order_size_min": 1, "order_size_max": contract.max_size,
        "funding_rate": "0", "funding_interval": 28800, "cross_leverage_default": "10", "orders_limit": 100,
    }


def ticker(market: Market) -> Document:
    bid, ask = market.book.best(Side.BUY), market.book.best(Side.SELL)
    return {
        "contract": market.contract.name, "last": money(market.tape.last), "mark_price": money(market.mark), "index_price": money(market.mark),
        "high_24h": money(market.tape.high), "low_24h": money(market.tape.low), "volume_24h": money(market.tape.volume / market.contract.multiplier),
        "highest_bid": "" if bid is None else money(bid.price), "lowest_ask": "" if ask is None else money(ask.price), "funding_rate": "0",
        "quanto_base_rate": "",
    }


def order_book(market: Market, limit: int, now_ms: int) -> Document:
    def side(which: Side) -> list[Document]:
        levels = list(market.book.levels(which))[:limit]
        return [{"p": money(level.price), "s": int(level.quantity)} for level in levels]
    return {"current": seconds(now_ms), "update": seconds(now_ms), "asks": side(Side.SELL), "bids": side(Side.BUY)}
