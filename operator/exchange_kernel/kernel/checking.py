"""A dry run: what would be sent of an order or a group, and what is known against it. Nothing is written or sent. Pure."""

from __future__ import annotations

from pydantic import Field

from exchange_kernel.api import MemberRole, Model, OrderGroupSpec, OrderIntentSpec, OrderType, PositiveDecimal, Side, TimeInForce
from exchange_kernel.api.order_terms import Symbol
from exchange_kernel.core import group_checks, risk
from exchange_kernel.core.group_checks import Known
from exchange_kernel.core.groups import GroupRecord, goes_native
from exchange_kernel.core.market_rules import breaks_rules, not_on_market, request_for, unacceptable, unsent_parameters
from exchange_kernel.core.risk import Exposure, Proposal
from exchange_kernel.core.venue import OrderRequest


class CheckedOrder(Model):
    """One order as it would be sent, on its market's steps. An exit is shown in its full size."""

    name: str | None = Field(default=None, description="The member's; None: an order of its own.")
    role: MemberRole | None = None
    after_entry: bool = Field(default=False, description="Sent for what the Entry fills, not at once.")
    symbol_id: Symbol
    side: Side
    type: OrderType
    quantity: PositiveDecimal | None = None
    quote_quantity: PositiveDecimal | None = None
    price: PositiveDecimal | None = None
    trigger_price: PositiveDecimal | None = None
    time_in_force: TimeInForce | None = None
    reduce_only: bool = False


class Check(Model):
    """What a dry run found."""

    orders: tuple[CheckedOrder, ...] = Field(default=(), description="What would be sent, as far as its markets are known.")
    refusals: tuple[str, ...] = Field(default=(), description="Why it would be refused, as sentences that say what to do.")
    not_judged: tuple[str, ...] = Field(default=(), description="What could not be judged here, as sentences: the operator judges it before anything is sent.")
    native: bool | None = Field(default=None, description="The exchange would keep the group as one list; None: not known, or no group.")

    @property
    def accepted(self) -> bool:
        """Nothing is known against it."""
        return not self.refusals


def check_group(spec: OrderGroupSpec, name: str, known: Known) -> Check:
    """Judge a group as the operator does before the first of its orders is sent."""
    if broken := spec.problems():
        return Check(refusals=tuple(broken))
    group, members = group_checks.unplaced(spec, name, created_ms=known.wall_ms or 0)
    found = list(group_checks.problems(group, members, known))
    orders = tuple(
        _order(one.request, name=one.member.name, role=one.member.spec.role, after_entry=_follows(group, one.member.spec.role))
        for one in group_checks.orders(group, members, known)
    )
    there = all(one.spec.symbol in known.markets for one in members)
    return Check(
        orders=orders,
        refusals=tuple(one.message for one in found if not one.waits),
        not_judged=tuple(dict.fromkeys([*_unknown({one.spec.symbol for one in members}, known), *(one.message for one in found if one.waits)])),
        native=goes_native(group, members, known.markets, known.venue) if known.venue is not None and there else None,
    )


def check_order(spec: OrderIntentSpec, known: Known) -> Check:
    """Judge an order of its own by its market, and by what else is known of its account."""
    if broken := spec.problems():
        return Check(refusals=tuple(broken))
    market, problems = known.markets.get(spec.symbol), []
    if known.symbols and spec.symbol not in known.symbols:
        problems.append("The account's spec.symbols does not list this symbol: add it there, or use another account.")
    if (unsent := unsent_parameters(spec)) is not None:
        problems.append(unsent)
    if market is None:
        if known.all_markets:
            problems.append(f"The exchange has no market {spec.symbol}: write it as ccxt does, for example BTC/USDT.")
        return Check(refusals=tuple(problems), not_judged=tuple(_unknown({spec.symbol}, known)))
    request = request_for(spec, "", market, quantity=spec.quantity)
    sentence = unacceptable(request, market, known.venue) if known.venue is not None else not_on_market(request, market) or breaks_rules(request, market)
    if sentence is not None:
        problems.append(sentence)
    refusal = risk.refused(Proposal(request=request), Exposure(limits=known.limits), market) if known.limits else None
    if refusal is not None and not refusal.waits:
        problems.append(refusal.message)
    return Check(orders=(_order(request),), refusals=tuple(problems), not_judged=tuple(_unknown({spec.symbol}, known)))


def _order(request: OrderRequest, *, name: str | None = None, role: MemberRole | None = None, after_entry: bool = False) -> CheckedOrder:
    return CheckedOrder(
        name=name, role=role, after_entry=after_entry, symbol_id=request.symbol, side=Side(request.side), type=OrderType(request.type),
        quantity=request.quantity or None, quote_quantity=request.quote_quantity or None, price=request.price or None,
        trigger_price=request.trigger_price or None, time_in_force=TimeInForce(request.time_in_force) if request.time_in_force is not None else None,
        reduce_only=request.reduce_only,
    )


def _follows(group: GroupRecord, role: MemberRole) -> bool:
    return group.entry is not None and role is not MemberRole.ENTRY


def _unknown(symbols: set[str], known: Known) -> list[str]:
    missing = sorted(symbols - known.markets.keys()) if not known.all_markets else []
    told = [f"The market {symbol} is not known here, and its rules were not asked." for symbol in missing]
    if known.venue is None:
        told.append("What the exchange's adapter can do is not known here: times in force, triggers, reduce-only and order lists were not judged.")
    if known.limits is None:
        told.append("RiskLimits are not known here, and were not judged.")
    return told
