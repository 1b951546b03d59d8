"""Orders and trades in the shapes of the venue's answers. Source: binance-spot-api-docs, rest-api.md; the stream's shapes are in `stream.py`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.engine import Market
from exchange_kernel.exchanges.simulated.orders import Execution, Order, OrderType, Side
from exchange_kernel.exchanges.simulated.symbols import DECIMALS, Symbol

Document: TypeAlias = dict[str, Any]

_FORMAT = f".{DECIMALS}f"


def money(value: Decimal) -> str:
    return format(value, _FORMAT)


def _terms(order: Order) -> Document:
    """What all shapes of an order share."""
    terms = {
        "symbol": order.symbol.name,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "price": money(order.price),
        "origQty": money(order.quantity),
        "executedQty": money(order.executed),
        "origQuoteOrderQty": money(order.quote_quantity),
        "cummulativeQuoteQty": money(order.cumulative_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
        "selfTradePreventionMode": "NONE",
    }
    if order.expiry_reason is not None:
        terms["expiryReason"] = order.expiry_reason
    return terms


def placed(order: Order, shape: str) -> Document:
    """The answer to a new order: ACK, RESULT or FULL."""
    if shape == "ACK":
        return {
            "symbol": order.symbol.name, "orderId": order.order_id, "orderListId": -1, "clientOrderId": order.client_order_id,
            "transactTime": order.update_time,
        }
    answer = _terms(order)
    answer["transactTime"] = order.update_time
    answer["workingTime"] = order.time
    if shape == "FULL":
        answer["fills"] = [
            {
                "price": money(fill.price), "qty": money(fill.quantity), "commission": money(fill.commission),
                "commissionAsset": fill.commission_asset, "tradeId": fill.trade_id,
            }
            for fill in order.executions
        ]
    return answer


def cancelled(order: Order, name: str) -> Document:
    """Here `clientOrderId` is the cancel's own name."""
    answer = _terms(order)
    answer["origClientOrderId"] = order.client_order_id
    answer["clientOrderId"] = name
    answer["transactTime"] = order.update_time
    return answer


def amended(order: Order, former: str, report_id: int) -> Document:
    return {
        "transactTime": order.update_time,
        "executionId": report_id,
        "amendedOrder": {
            "symbol": order.symbol.name, "orderId": order.order_id, "orderListId": -1, "origClientOrderId": former,
            "clientOrderId": order.client_order_id, "price": money(order.price), "qty": money(order.quantity),
            "executedQty": money(order.executed), "preventedQty": money(Decimal(0)), "quoteOrderQty": money(order.quote_quantity),
            "cumulativeQuoteQty": money(order.cumulative_quote), "status": order.status, "timeInForce": order.time_in_force,
            "type": order.type, "side": order.side, "workingTime": order.time, "selfTradePreventionMode": "NONE",
        },
    }


def queried(order: Order) -> Document:
    answer = _terms(order)
    answer["stopPrice"] = answer["icebergQty"] = money(Decimal(0))
    answer["time"] = order.time
    answer["updateTime"] = order.update_time
    answer["workingTime"] = order.time
    answer["isWorking"] = True
    return answer


def traded(execution: Execution) -> Document:
    return {
        "symbol": execution.symbol.name, "id": execution.trade_id, "orderId": execution.order_id, "orderListId": -1,
        "price": money(execution.price), "qty": money(execution.quantity), "quoteQty": money(execution.quote_quantity),
        "commission": money(execution.commission), "commissionAsset": execution.commission_asset, "time": execution.time,
        "isBuyer": execution.is_buyer, "isMaker": execution.is_maker, "isBestMatch": True,
    }


def account(of: Account, maker_fee: Decimal, taker_fee: Decimal, *, omit_zero: bool) -> Document:
    return {
        "makerCommission": int(maker_fee * 10_000), "takerCommission": int(taker_fee * 10_000), "buyerCommission": 0, "sellerCommission": 0,
        "commissionRates": {"maker": money(maker_fee), "taker": money(taker_fee), "buyer": money(Decimal(0)), "seller": money(Decimal(0))},
        "canTrade": True, "canWithdraw": False, "canDeposit": False, "brokered": False, "requireSelfTradePrevention": False, "preventSor": False,
        "updateTime": of.updated, "accountType": "SPOT", "balances": balances(of, omit_zero=omit_zero), "permissions": ["SPOT"], "uid": of.uid,
    }


def balances(of: Account, *, omit_zero: bool) -> list[Document]:
    return [
        {"asset": asset, "free": money(balance.free), "locked": money(balance.locked)}
        for asset, balance in sorted(of.balances.items()) if balance.free or balance.locked or not omit_zero
    ]


def market(symbol: Symbol) -> Document:
    """As exchangeInfo lists it."""
    return {
        "symbol": symbol.name, "status": "TRADING", "baseAsset": symbol.base, "baseAssetPrecision": DECIMALS, "quoteAsset": symbol.quote,
        "quotePrecision": DECIMALS, "quoteAssetPrecision": DECIMALS, "baseCommissionPrecision": DECIMALS, "quoteCommissionPrecision": DECIMALS,
        "orderTypes": [kind.value for kind in OrderType], "icebergAllowed": False, "ocoAllowed": False, "otoAllowed": False, "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": False, "cancelReplaceAllowed": True, "amendAllowed": True,
        "pegInstructionsAllowed": False, "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "filters": symbol.filters(),
        "permissions": [], "permissionSets": [["SPOT"]], "defaultSelfTradePreventionMode": "NONE", "allowedSelfTradePreventionModes": ["NONE"],
    }


def best_prices(of: Market) -> Document:
    answer: Document = {"symbol": of.symbol.name}
    for side, name in ((Side.BUY, "bid"), (Side.SELL, "ask")):
        level = of.book.best(side)
        answer[f"{name}Price"] = money(level.price if level is not None else Decimal(0))
        answer[f"{name}Qty"] = money(level.quantity if level is not None else Decimal(0))
    return answer


def last_price(of: Market) -> Document:
    return {"symbol": of.symbol.name, "price": money(of.tape.last)}


def statistics(of: Market) -> Document:
    tape = of.tape
    change = tape.last - tape.open
    average = tape.quote_volume / tape.volume if tape.volume else tape.last
    return {
        **best_prices(of),
        "priceChange": money(change), "priceChangePercent": format(change / tape.open * 100, ".3f"), "weightedAvgPrice": money(average),
        "prevClosePrice": money(tape.open), "lastPrice": money(tape.last), "lastQty": money(tape.last_quantity), "openPrice": money(tape.open),
        "highPrice": money(tape.high), "lowPrice": money(tape.low), "volume": money(tape.volume), "quoteVolume": money(tape.quote_volume),
        "openTime": tape.open_time, "closeTime": tape.close_time, "firstId": 1 if tape.trades else -1, "lastId": tape.trades or -1,
        "count": tape.trades,
    }


def depth(of: Market, limit: int, update_id: int) -> Document:
    sides = {}
    for side, name in ((Side.BUY, "bids"), (Side.SELL, "asks")):
        sides[name] = [[money(level.price), money(level.quantity)] for _, level in zip(range(limit), of.book.levels(side), strict=False)]
    return {"lastUpdateId": update_id, **sides}
