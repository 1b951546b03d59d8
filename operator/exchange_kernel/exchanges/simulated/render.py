"""Orders and trades in the shapes of the venue's answers. Source: binance-spot-api-docs, rest-api.md; the stream's shapes are in `stream.py`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

from exchange_kernel.exchanges.simulated.accounts import Account
from exchange_kernel.exchanges.simulated.market import Market
from exchange_kernel.exchanges.simulated.order_lists import ListStatus, OrderList
from exchange_kernel.exchanges.simulated.orders import ZERO, Execution, Order, OrderType, Prevented, Side
from exchange_kernel.exchanges.simulated.symbols import DECIMALS, SelfTradePrevention, Symbol

Document: TypeAlias = dict[str, Any]

_FORMAT = f".{DECIMALS}f"


def money(value: Decimal) -> str:
    return format(value, _FORMAT)


def _terms(order: Order) -> Document:
    """What all shapes of an order share."""
    terms: Document = {
        "symbol": order.symbol.name,
        "orderId": order.order_id,
        "orderListId": order.list_id,
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
        "selfTradePreventionMode": order.self_trade_prevention,
    }
    if order.expiry_reason is not None:
        terms["expiryReason"] = order.expiry_reason
    if order.type.contingent:
        terms["stopPrice"] = money(order.stop_price or ZERO)
    if order.trailing_delta is not None:
        terms["trailingDelta"] = order.trailing_delta
        terms["trailingTime"] = -1 if order.trailing_time is None else order.trailing_time
    if order.prevented is not None:
        terms["preventedMatchId"] = order.prevented.match_id
        terms["preventedQuantity"] = money(order.remaining)
    return terms


def _working_time(order: Order) -> int:
    return -1 if order.working_time is None else order.working_time


def placed(order: Order, shape: str) -> Document:
    """The answer to a new order: ACK, RESULT or FULL."""
    if shape == "ACK":
        return {
            "symbol": order.symbol.name, "orderId": order.order_id, "orderListId": order.list_id, "clientOrderId": order.client_order_id,
            "transactTime": order.update_time,
        }
    answer = _terms(order)
    answer["transactTime"] = order.update_time
    answer["workingTime"] = _working_time(order)
    if shape == "FULL":
        answer["fills"] = [
            {
                "price": money(fill.price), "qty": money(fill.quantity), "commission": money(fill.commission),
                "commissionAsset": fill.commission_asset, "tradeId": fill.trade_id,
            }
            for fill in order.executions
        ]
        if order.prevented_matches:
            answer["preventedMatches"] = [
                {"preventedMatchId": match.match_id, "makerOrderId": match.maker_order_id, "price": money(match.price), **_prevented_quantities(match)}
                for match in order.prevented_matches
            ]
    return answer


def cancelled(order: Order, name: str) -> Document:
    """Of an order in a list, the list's. [web-socket-api.md, order.cancel, "When an order list is canceled"]"""
    return _cancelled(order, name) if order.order_list is None else list_cancelled(order.order_list, name)


def all_cancelled(orders: list[tuple[Order, str]]) -> list[Document]:
    """Orders of their own first, then lists."""
    lists = {order.list_id: (order.order_list, name) for order, name in orders if order.order_list is not None}
    return [
        *(_cancelled(order, name) for order, name in orders if order.order_list is None),
        *(list_cancelled(order_list, name) for order_list, name in lists.values()),
    ]


def _cancelled(order: Order, name: str) -> Document:
    """Here `clientOrderId` is the cancel's own name."""
    answer = _terms(order)
    answer["origClientOrderId"] = order.client_order_id
    answer["clientOrderId"] = name
    answer["transactTime"] = order.update_time
    return answer


def amended(order: Order, former: str, report_id: int) -> Document:
    answer: Document = {
        "transactTime": order.update_time,
        "executionId": report_id,
        "amendedOrder": {
            "symbol": order.symbol.name, "orderId": order.order_id, "orderListId": order.list_id, "origClientOrderId": former,
            "clientOrderId": order.client_order_id, "price": money(order.price), "qty": money(order.quantity),
            "executedQty": money(order.executed), "preventedQty": money(ZERO), "quoteOrderQty": money(order.quote_quantity),
            "cumulativeQuoteQty": money(order.cumulative_quote), "status": order.status, "timeInForce": order.time_in_force,
            "type": order.type, "side": order.side, "selfTradePreventionMode": order.self_trade_prevention,
        },
    }
    if order.working_time is not None:
        answer["amendedOrder"]["workingTime"] = order.working_time
    if order.order_list is not None:
        answer["listStatus"] = {
            name: value for name, value in listed(order.order_list).items() if name not in ("listStatusType", "transactionTime")
        }
    return answer


def queried(order: Order) -> Document:
    answer = {"stopPrice": money(ZERO), **_terms(order)}
    answer["icebergQty"] = money(ZERO)
    answer["time"] = order.time
    answer["updateTime"] = order.update_time
    answer["workingTime"] = _working_time(order)
    answer["isWorking"] = order.working_time is not None
    return answer


# ── Lists of orders ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def listed(of: OrderList) -> Document:
    status = ListStatus.EXEC_STARTED if of.open else ListStatus.ALL_DONE
    return {
        "orderListId": of.list_id, "contingencyType": of.contingency, "listStatusType": status,
        "listOrderStatus": "EXECUTING" if of.open else "ALL_DONE", "listClientOrderId": of.client_order_id, "transactionTime": of.time,
        "symbol": of.symbol.name,
        "orders": [{"symbol": of.symbol.name, "orderId": order.order_id, "clientOrderId": order.client_order_id} for order in of.orders],
    }


def list_placed(of: OrderList, orders: list[Order], shape: str) -> Document:
    """`orders` as they were when the answer was due, which may be before what the list's first fill set off."""
    started = {"listStatusType": ListStatus.EXEC_STARTED, "listOrderStatus": "EXECUTING"}
    return {**listed(of), **(started if any(order.status.open for order in orders) else {}), "orderReports": [placed(order, shape) for order in orders]}


def list_cancelled(of: OrderList, name: str) -> Document:
    transacted = max(order.update_time for order in of.orders)
    return {**listed(of), "transactionTime": transacted, "orderReports": [_cancelled(order, name) for order in of.orders]}


def prevented(of: Prevented) -> Document:
    return {
        "symbol": of.symbol.name, "preventedMatchId": of.match_id, "takerOrderId": of.taker_order_id, "makerSymbol": of.symbol.name,
        "makerOrderId": of.maker_order_id, "tradeGroupId": -1, "selfTradePreventionMode": of.mode, "price": money(of.price),
        **_prevented_quantities(of), "transactTime": of.time,
    }


def _prevented_quantities(of: Prevented) -> Document:
    """Of those that expired."""
    quantities = {"takerPreventedQuantity": of.taker_quantity, "makerPreventedQuantity": of.maker_quantity}
    return {name: money(quantity) for name, quantity in quantities.items() if quantity is not None}


# ── Trades, accounts, markets ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

def traded(execution: Execution) -> Document:
    return {
        "symbol": execution.symbol.name, "id": execution.trade_id, "orderId": execution.order_id, "orderListId": execution.order_list_id,
        "price": money(execution.price), "qty": money(execution.quantity), "quoteQty": money(execution.quote_quantity),
        "commission": money(execution.commission), "commissionAsset": execution.commission_asset, "time": execution.time,
        "isBuyer": execution.is_buyer, "isMaker": execution.is_maker, "isBestMatch": True,
    }


def account(of: Account, maker_fee: Decimal, taker_fee: Decimal, *, omit_zero: bool) -> Document:
    return {
        "makerCommission": int(maker_fee * 10_000), "takerCommission": int(taker_fee * 10_000), "buyerCommission": 0, "sellerCommission": 0,
        "commissionRates": {"maker": money(maker_fee), "taker": money(taker_fee), "buyer": money(ZERO), "seller": money(ZERO)},
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
        "symbol": symbol.name, "status": symbol.status.value, "baseAsset": symbol.base, "baseAssetPrecision": DECIMALS, "quoteAsset": symbol.quote,
        "quotePrecision": DECIMALS, "quoteAssetPrecision": DECIMALS, "baseCommissionPrecision": DECIMALS, "quoteCommissionPrecision": DECIMALS,
        "orderTypes": [kind.value for kind in OrderType if symbol.order_types is None or kind.value in symbol.order_types],
        "icebergAllowed": False, "ocoAllowed": True, "otoAllowed": True, "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": True, "cancelReplaceAllowed": True, "amendAllowed": True,
        "pegInstructionsAllowed": False, "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "filters": symbol.filters(),
        "permissions": [], "permissionSets": [["SPOT"]], "defaultSelfTradePreventionMode": symbol.self_trade_prevention,
        "allowedSelfTradePreventionModes": [mode.value for mode in SelfTradePrevention],
    }


def best_prices(of: Market) -> Document:
    answer: Document = {"symbol": of.symbol.name}
    for side, name in ((Side.BUY, "bid"), (Side.SELL, "ask")):
        level = of.book.best(side)
        answer[f"{name}Price"] = money(level.price if level is not None else ZERO)
        answer[f"{name}Qty"] = money(level.quantity if level is not None else ZERO)
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
