"""Orders as requests write them: alone, and as the legs of a list, whose parameters carry the leg's name in front."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from exchange_kernel.exchanges.simulated.errors import (
    bad_combination,
    bad_order_type,
    bad_restrictions,
    bad_side,
    bad_time_in_force,
    both_limits,
    limit_must_be_above,
    limit_must_be_below,
    no_icebergs,
    not_in_oco,
    not_valid,
    one_of,
    prevention_not_allowed,
)
from exchange_kernel.exchanges.simulated.exchange import SimulatedExchange
from exchange_kernel.exchanges.simulated.order_lists import NewOrderList
from exchange_kernel.exchanges.simulated.orders import NewOrder, OrderType, Side, Status, TimeInForce
from exchange_kernel.exchanges.simulated.parameters import CLIENT_ORDER_ID, Parameters
from exchange_kernel.exchanges.simulated.symbols import SelfTradePrevention, Symbol

RESTRICTIONS = {"ONLY_NEW": Status.NEW, "ONLY_PARTIALLY_FILLED": Status.PARTIALLY_FILLED}

WORKING_TYPES = (OrderType.LIMIT, OrderType.LIMIT_MAKER)


class Shape(StrEnum):
    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


@dataclass(frozen=True, slots=True)
class Leg:
    """What the orders of a request share, and how this one's parameters are named: `stopPrice`, or `aboveStopPrice`."""

    parameters: Parameters
    symbol: Symbol
    self_trade_prevention: SelfTradePrevention | None
    prefix: str = ""

    def name(self, plain: str) -> str:
        return self.prefix + plain[0].upper() + plain[1:] if self.prefix else plain

    def read(self, *, kind: OrderType | None = None, side: Side | None = None, quantity: Decimal | None = None) -> NewOrder:
        """[New order, "Some additional mandatory parameters based on order type"]. What is given is not asked for."""
        parameters, name = self.parameters, self.name
        side = side or parameters.word(name("side"), Side, bad_side)
        kind = kind or self.kind()
        price = stop_price = trailing_delta = quote_quantity = None
        time_in_force = TimeInForce.GTC
        if name("icebergQty") in parameters:
            raise no_icebergs()
        if kind is OrderType.MARKET and not self.prefix:
            quantity, quote_quantity = parameters.optional_decimal("quantity"), parameters.optional_decimal("quoteOrderQty")
            if quantity is None and quote_quantity is None:
                raise one_of("quantity", "quoteOrderQty")
            if quantity is not None and quote_quantity is not None:
                raise bad_combination()
        else:
            parameters.refuse(name("quoteOrderQty"))
            quantity = parameters.decimal(name("quantity")) if quantity is None else quantity
        if kind.at_market:
            parameters.refuse(name("price"))
        else:
            price = parameters.decimal(name("price"))
        if kind.contingent:
            stop_price, trailing_delta = parameters.optional_decimal(name("stopPrice")), parameters.optional_integer(name("trailingDelta"))
            if stop_price is None and trailing_delta is None:
                raise one_of(name("stopPrice"), name("trailingDelta"))
        else:
            parameters.refuse(name("stopPrice"), name("trailingDelta"))
        if kind.at_market or kind is OrderType.LIMIT_MAKER:
            parameters.refuse(name("timeInForce"))
        else:
            time_in_force = parameters.word(name("timeInForce"), TimeInForce, bad_time_in_force)
        return NewOrder(
            symbol=self.symbol, side=side, type=kind, quantity=quantity, quote_quantity=quote_quantity, price=price, stop_price=stop_price,
            trailing_delta=trailing_delta, time_in_force=time_in_force, self_trade_prevention=self.self_trade_prevention,
            client_order_id=parameters.optional(name("clientOrderId") if self.prefix else "newClientOrderId", CLIENT_ORDER_ID),
        )

    def kind(self) -> OrderType:
        return self.parameters.word(self.name("type"), OrderType, bad_order_type)


def read_order(exchange: SimulatedExchange, parameters: Parameters) -> tuple[NewOrder, Shape]:
    new = _leg(exchange, parameters).read()
    shape = read_shape(parameters)
    return new, shape or (Shape.FULL if new.type in (OrderType.MARKET, OrderType.LIMIT) else Shape.ACK)


# ── Lists ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def read_oco(exchange: SimulatedExchange, parameters: Parameters) -> NewOrderList:
    leg = _leg(exchange, parameters)
    side, quantity = parameters.word("side", Side, bad_side), parameters.decimal("quantity")
    return NewOrderList(symbol=leg.symbol, working=None, others=_pair(leg, "", side, quantity), client_order_id=_list_name(parameters))


def read_oto(exchange: SimulatedExchange, parameters: Parameters) -> NewOrderList:
    leg = _leg(exchange, parameters)
    return NewOrderList(symbol=leg.symbol, working=_working(leg), others=(_named(leg, "pending").read(),), client_order_id=_list_name(parameters))


def read_otoco(exchange: SimulatedExchange, parameters: Parameters) -> NewOrderList:
    leg = _leg(exchange, parameters)
    working = _working(leg)
    side, quantity = parameters.word("pendingSide", Side, bad_side), parameters.decimal("pendingQuantity")
    return NewOrderList(symbol=leg.symbol, working=working, others=_pair(leg, "pending", side, quantity), client_order_id=_list_name(parameters))


def _working(leg: Leg) -> NewOrder:
    leg = _named(leg, "working")
    if (kind := leg.kind()) not in WORKING_TYPES:
        raise bad_order_type()
    return leg.read(kind=kind)


def _pair(leg: Leg, prefix: str, side: Side, quantity: Decimal) -> tuple[NewOrder, NewOrder]:
    """What stops the loss first, as the venue lists them. [errors.md, -1158 to -1168]"""
    above, below = (_named(leg, prefix + name if prefix else name.lower()) for name in ("Above", "Below"))
    kinds = above.kind(), below.kind()
    if any(kind in (OrderType.LIMIT, OrderType.MARKET) for kind in kinds):
        raise not_in_oco()
    if not any(kind.contingent for kind in kinds):
        raise both_limits()
    if side is Side.BUY and kinds[0] is OrderType.LIMIT_MAKER:
        raise limit_must_be_below()
    if side is Side.SELL and kinds[1] is OrderType.LIMIT_MAKER:
        raise limit_must_be_above()
    if sum(kind.stops_loss for kind in kinds) != 1:
        raise not_in_oco()
    legs = above.read(kind=kinds[0], side=side, quantity=quantity), below.read(kind=kinds[1], side=side, quantity=quantity)
    return legs if kinds[0].stops_loss else (legs[1], legs[0])


def _leg(exchange: SimulatedExchange, parameters: Parameters) -> Leg:
    """Of the whole request, still without a name."""
    symbol = read_symbol(exchange, parameters)
    elsewhere = parameters.peek("selfTradePreventionMode") in ("DECREMENT", "TRANSFER")
    wrong = prevention_not_allowed() if elsewhere else not_valid("selfTradePreventionMode")
    return Leg(parameters, symbol, parameters.optional_word("selfTradePreventionMode", SelfTradePrevention, lambda: wrong))


def _named(leg: Leg, prefix: str) -> Leg:
    return Leg(leg.parameters, leg.symbol, leg.self_trade_prevention, prefix)


def _list_name(parameters: Parameters) -> str | None:
    return parameters.optional("listClientOrderId", CLIENT_ORDER_ID)


# ── What requests about orders share ────────────────────────────────────────────────────────────────────────────────────────────────────────

def read_shape(parameters: Parameters) -> Shape | None:
    return parameters.optional_word("newOrderRespType", Shape, lambda: not_valid("newOrderRespType"))


def read_symbol(exchange: SimulatedExchange, parameters: Parameters) -> Symbol:
    return exchange.engine.market(parameters.text("symbol")).symbol


def read_names(parameters: Parameters, by_id: str, by_client_id: str) -> tuple[int | None, str | None]:
    order_id, client_order_id = parameters.optional_integer(by_id), parameters.optional(by_client_id)
    if order_id is None and client_order_id is None:
        raise one_of(by_client_id, by_id)
    return order_id, client_order_id


def read_restriction(parameters: Parameters) -> Status | None:
    value = parameters.optional("cancelRestrictions")
    if value is not None and value not in RESTRICTIONS:
        raise bad_restrictions()
    return None if value is None else RESTRICTIONS[value]
