"""What an order cost: a sum over its executions, by asset. Pure, and recomputed each time: nothing is added to a total that was written before (rule 8).

Of each attempt two explanations are compared (`Facts.explained`): the executions known now, and those counted in the record with what is provably new.
The one that explains more of the fill gives the attempt's fees. Once all executions are known, the fees are their sum, whatever was written before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from exchange_kernel.api import FeeTotal
from exchange_kernel.api.order_intent import MAX_FEES
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.fills import fees_by_asset
from exchange_kernel.core.money import ZERO, add, subtract

Amounts: TypeAlias = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Paid:
    """The fees of one order, by asset."""

    attempts: Mapping[int, Amounts]  # of each attempt of which they are known by themselves
    earlier: Amounts = field(default_factory=dict)  # of the attempts that are no longer listed
    together: Amounts = field(default_factory=dict)  # of several attempts, recorded only as their sum

    @property
    def total(self) -> dict[str, Decimal]:
        return summed(self.earlier, self.together, *self.attempts.values())

    def only(self, assets: Iterable[str]) -> Paid:
        """The same without all other assets."""
        kept = set(assets)

        def cut(amounts: Amounts) -> dict[str, Decimal]:
            return {asset: amount for asset, amount in amounts.items() if asset in kept}

        return Paid({number: cut(amounts) for number, amounts in self.attempts.items()}, cut(self.earlier), cut(self.together))


def paid(facts: Facts) -> Paid:
    """What is paid so far, as the record and the executions known now tell it."""
    earlier = facts.order.status.earlier_attempts
    of_earlier = amounts(earlier.fees) if earlier is not None else {}
    recorded = {number: amounts(attempt.fees) for number in facts.numbers if (attempt := facts.recorded(number)) is not None}
    together = _recorded_together(facts)
    shared = _without_their_own(facts) if together else []
    alone = earlier is None or earlier.filled_quantity == 0
    if alone and len(shared) == 1:
        recorded[shared[0]], together, shared = together, {}, []
    elif alone and all(facts.explained(number).by_trades for number in shared):
        together, shared = {}, []
    for number in shared:
        together = _changed(facts, number, together)
    of = {number: _of(facts, number, recorded.get(number, {})) for number in facts.numbers if number not in shared}
    left = [number for number in shared if facts.explained(number).quantity > 0]
    if alone and len(left) == 1:
        return Paid({**of, left[0]: together}, of_earlier)  # all that the others had was taken back
    return Paid(of, of_earlier, together)


def _without_their_own(facts: Facts) -> list[int]:
    """The attempts whose fees the record has only in its total: the one that is filled, or several of an earlier version of this operator."""
    return [number for number in facts.numbers if (old := facts.recorded(number)) is not None and not old.fees and facts.explained_before(old) > 0]


def to_be_read(facts: Facts) -> list[int]:
    """Attempts whose executions are read once more, since an earlier version recorded their fees only together with others'."""
    earlier = facts.order.status.earlier_attempts
    if earlier is not None and earlier.filled_quantity > 0:
        return []  # of those that are no longer listed they can't be told apart by reading
    shared = _without_their_own(facts) if sum(bool(attempt.filled_quantity) for attempt in facts.order.attempts) > 1 else []
    if len(shared) < 2 or not _recorded_together(facts):
        return []
    return [number for number in shared if not facts.explained(number).by_trades]


def _recorded_together(facts: Facts) -> dict[str, Decimal]:
    """The part of the recorded total that stands with no attempt."""
    old = facts.order.status
    of_earlier = amounts(old.earlier_attempts.fees) if old.earlier_attempts is not None else {}
    return summed(amounts(old.fees), negative(summed(of_earlier, *(amounts(attempt.fees) for attempt in old.attempts))))


def _of(facts: Facts, number: int, before: Amounts) -> dict[str, Decimal]:
    return summed(fees_by_asset(facts.trades(number))) if facts.explained(number).by_trades else _changed(facts, number, before)


def _changed(facts: Facts, number: int, before: Amounts) -> dict[str, Decimal]:
    """Fees as recorded, with those of executions that the record can't have and without those of executions taken back."""
    changes = facts.changes(number)
    return summed(before, fees_by_asset(changes.new), negative(fees_by_asset(changes.returned)))


def summed(*parts: Amounts) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for part in parts:
        for asset, amount in part.items():
            total[asset] = add(total.get(asset, ZERO), amount)
    return {asset: amount for asset, amount in total.items() if amount != 0}


def negative(amounts: Amounts) -> dict[str, Decimal]:
    return {asset: subtract(ZERO, amount) for asset, amount in amounts.items()}


def listed(paid: Paid, before: Iterable[FeeTotal]) -> tuple[Paid, bool]:
    """As many assets as a status may have, and whether there are more: those listed before stay, so that the amount of each is whole."""
    known = [total.asset for total in before]
    assets = {asset for amounts in (paid.earlier, paid.together, *paid.attempts.values()) for asset in amounts}
    if len(assets) <= MAX_FEES:
        return paid, False
    ranked = sorted(assets, key=lambda asset: (asset not in known, asset))
    return paid.only(ranked[:MAX_FEES]), True


def totals(amounts: Amounts) -> list[FeeTotal]:
    return [FeeTotal(asset=asset, amount=amount) for asset, amount in sorted(amounts.items())]


def amounts(totals: Iterable[FeeTotal]) -> dict[str, Decimal]:
    return {total.asset: total.amount for total in totals}
