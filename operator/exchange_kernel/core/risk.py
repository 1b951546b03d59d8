"""RiskLimits: whether an order may be sent under all that apply to its account (rule 4). Pure; who counts is `reconcile/exposure.py`.

Whatever can't be judged is refused: what may become judgeable waits, the rest is denied. No RiskLimit is no limit. Messages name the limit and its
figure, which are of a spec, and no count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from exchange_kernel.api import RiskLimitSpec
from exchange_kernel.core.money import ZERO, add, multiply, plain
from exchange_kernel.core.venue import MarketRules, OrderRequest

REASON = "RiskLimit"
NOT_READ = "The RiskLimits of the namespace are not read yet: nothing is sent before they are. If this lasts, see whether the operator's Role has risklimits."


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRecord:
    """A RiskLimit as the store has it. `spec` is None where it says something that this version does not know: then nothing is sent."""

    uid: str
    namespace: str
    name: str
    spec: RiskLimitSpec | None

    def covers(self, account: str) -> bool:
        """Whether an account of its namespace is held to it."""
        selector = self.spec.account_selector if self.spec is not None else None
        return selector is None or not selector.names or account in selector.names


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The limits of an order's account, and what they are held against: this order itself is not counted."""

    limits: tuple[LimitRecord, ...] | None = ()  # None: not read yet
    open_orders: int = 0  # intents of the account with an order that is, or may be, at the exchange
    sent_last_minute: int = 0
    position: Decimal | None = None  # the largest that the market's position may become in this order's direction, by all other orders; None: not known yet
    position_current: bool = False  # whether nothing was filled since that was read: then it can only be too large by what is open


@dataclass(frozen=True, slots=True)
class Refusal:
    message: str
    waits: bool  # it may pass later as it stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is to be sent. `replaces`: a change of an order that is at the exchange. `exit`: it closes what its group's entry opened.

    `instead`: a Market order in place of an exit whose trigger was passed; that its type is allowed was judged by the exit's own.
    """

    request: OrderRequest
    filled: Decimal = ZERO  # of request.quantity, where that is the total of a live order
    replaces: bool = False
    exit: bool = False
    instead: bool = False


Check: TypeAlias = Callable[[LimitRecord, RiskLimitSpec, Proposal, Exposure, MarketRules], Refusal | None]


def refused(proposal: Proposal, exposure: Exposure, market: MarketRules) -> Refusal | None:
    """Why it may not be sent now, or None. What can never pass goes before what waits, whichever limit says it; limits go by name."""
    if exposure.limits is None:
        return Refusal(NOT_READ, waits=True)
    for limit in exposure.limits:
        if limit.spec is None:
            message = f"RiskLimit {limit.name} can't be read by this version of the operator, so nothing is sent: correct it, or update the operator."
            return Refusal(message, waits=True)
    for check in CHECKS:
        for limit in exposure.limits:
            if limit.spec is not None and (refusal := check(limit, limit.spec, proposal, exposure, market)) is not None:
                return refusal
    return None


def _type(limit: LimitRecord, spec: RiskLimitSpec, proposal: Proposal, exposure: Exposure, market: MarketRules) -> Refusal | None:
    if not spec.allowed_types or proposal.instead or proposal.request.type in spec.allowed_types:
        return None
    allowed = ", ".join(sorted(spec.allowed_types))
    return Refusal(f"RiskLimit {limit.name}: its allowedTypes are {allowed}, and the order is of type {proposal.request.type}.", waits=False)


def _notional(limit: LimitRecord, spec: RiskLimitSpec, proposal: Proposal, exposure: Exposure, market: MarketRules) -> Refusal | None:
    """What closes a position is as large as the entry that was judged: an exit is not held to it, or a limit made tighter would leave it unprotected."""
    if not spec.max_order_notional or proposal.exit:
        return None
    most = next((one.amount for one in spec.max_order_notional if one.asset == market.quote), None)
    if most is None:
        return Refusal(f"RiskLimit {limit.name}: maxOrderNotional has no amount for {market.quote}, so no order in it is sent.", waits=False)
    worth = notional(proposal.request, market)
    if worth is None:
        message = f"RiskLimit {limit.name}: what an order without a price is worth can't be judged by maxOrderNotional: set a price, or quoteQuantity."
        return Refusal(message, waits=False)
    if worth > most:
        message = f"RiskLimit {limit.name}: maxOrderNotional is {plain(most)} {market.quote}, and the order is worth {plain(worth)} {market.quote}."
        return Refusal(message, waits=False)
    return None


def notional(request: OrderRequest, market: MarketRules) -> Decimal | None:
    """What the order is worth at its own price (its trigger, where it has no limit), in the market's quote asset; None if nothing says."""
    if request.quote_quantity is not None:
        return request.quote_quantity
    price = request.price if request.price is not None else request.trigger_price
    if request.quantity is None:
        return None
    if market.contract_size is None:
        return multiply(request.quantity, price) if price is not None else None
    size = multiply(request.quantity, market.contract_size)
    if market.inverse:
        return size  # an inverse contract is of the quote asset: its worth does not depend on a price
    return multiply(size, price) if price is not None else None


def _position(limit: LimitRecord, spec: RiskLimitSpec, proposal: Proposal, exposure: Exposure, market: MarketRules) -> Refusal | None:
    request = proposal.request
    if not spec.max_position or proposal.exit or request.reduce_only or reduces(request, market):
        return None
    most = next((one.quantity for one in spec.max_position if one.symbol == request.symbol), None)
    if most is None:
        return Refusal(f"RiskLimit {limit.name}: maxPosition has no quantity for {request.symbol}, so no order that opens one is sent.", waits=False)
    if request.quantity is None:
        message = f"RiskLimit {limit.name}: how much an order by quoteQuantity buys can't be judged by maxPosition: set spec.quantity and a price."
        return Refusal(message, waits=False)
    if exposure.position is None:
        return Refusal(f"RiskLimit {limit.name}: maxPosition waits until the account's positions are read.", waits=True)
    if add(exposure.position, request.quantity) > add(most, proposal.filled):
        message = f"RiskLimit {limit.name}: maxPosition of {request.symbol} is {plain(most)}, and the order would exceed it with all that is open filled."
        return Refusal(message, waits=not exposure.position_current)
    return None


def reduces(request: OrderRequest, market: MarketRules) -> bool:
    """Whether the order can only make a position smaller: a sale on spot, and what closes one of the two positions of a market in hedge mode."""
    if market.contract_size is None:
        return request.side == "Sell"
    return (request.side, request.position_side) in (("Sell", "Long"), ("Buy", "Short"))


def _open_orders(limit: LimitRecord, spec: RiskLimitSpec, proposal: Proposal, exposure: Exposure, market: MarketRules) -> Refusal | None:
    most = spec.max_open_orders
    if most is None or proposal.replaces or exposure.open_orders < most:
        return None
    return Refusal(f"RiskLimit {limit.name}: maxOpenOrders is {most}: it is sent once fewer are open.", waits=True)


def _rate(limit: LimitRecord, spec: RiskLimitSpec, proposal: Proposal, exposure: Exposure, market: MarketRules) -> Refusal | None:
    most = spec.max_orders_per_minute
    if most is None or exposure.sent_last_minute < most:
        return None
    return Refusal(f"RiskLimit {limit.name}: maxOrdersPerMinute is {most}: it is sent once fewer were sent in the last minute.", waits=True)


CHECKS: tuple[Check, ...] = (_type, _notional, _position, _open_orders, _rate)
