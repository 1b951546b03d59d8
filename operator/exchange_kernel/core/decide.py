"""What to do next for one order. Pure and total: any record, any sight of the world, gives one decision, and the same ones give the same.

The checks below are the policy, read top to bottom; each carries the number of the rule it keeps. Who carries a decision out is `reconcile/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from exchange_kernel.core.actions import Decision, Lookup, ProveAbsence, Settle
from exchange_kernel.core.checks.belonging import adopt_only_what_agrees, leave_it_to_its_holder, leave_strangers_alone, right_account_only
from exchange_kernel.core.checks.changing import change_if_different, settle_amend
from exchange_kernel.core.checks.ending import (
    already_finished,
    cancel_before_the_send,
    cancel_if_unwanted,
    cancel_or_wait,
    finish_when_settled,
    leave_alone_if_orphaned,
    leave_what_is_at_the_exchange,
)
from exchange_kernel.core.checks.finding import explain_fills, refresh_unseen, settle_first, watch_what_was_called_absent
from exchange_kernel.core.checks.sending import deny_unsent, submit_if_unsent
from exchange_kernel.core.facts import Facts


def decide(facts: Facts) -> Decision:
    """What to do next for one order, from what is recorded, what was seen and what the venue can do. The first check with an opinion wins."""
    for check in CHECKS:
        if (decision := check(facts)) is not None:
            return _until_its_time(_without_second_reading(decision, facts), facts)
    return _until_its_time(Decision(), facts)


def _until_its_time(decision: Decision, facts: Facts) -> Decision:
    """Look again at the latest when the order's own time is up."""
    if facts.order.finished or decision.verdict is not None or facts.time_limit is None or facts.overdue is not None:
        return decision
    left_ms = facts.time_limit.due_ms - facts.now.venue_ms
    return replace(decision, again_ms=left_ms if decision.again_ms is None else min(left_ms, decision.again_ms))


def _without_second_reading(decision: Decision, facts: Facts) -> Decision:
    """Drop a reading that is under way already: its end wakes the order."""
    match decision.action:
        case Lookup(number=number) | ProveAbsence(number=number) | Settle(number=number) if number in facts.seen.reading:
            return replace(decision, action=None, again_ms=None)
    return decision


CHECKS: tuple[Callable[[Facts], Decision | None], ...] = (
    already_finished,  # 11
    right_account_only,  # 13
    leave_strangers_alone,  # 2
    leave_it_to_its_holder,  # 2
    cancel_if_unwanted,  # 9: nothing below holds a cancel
    settle_first,  # 3, 5
    adopt_only_what_agrees,  # 2
    explain_fills,  # 8
    leave_alone_if_orphaned,  # 11
    refresh_unseen,  # 8, 12
    cancel_or_wait,  # 9, 10
    watch_what_was_called_absent,  # 5
    finish_when_settled,  # 11
    settle_amend,  # 10
    change_if_different,  # 10
    leave_what_is_at_the_exchange,
    cancel_before_the_send,  # 9
    deny_unsent,  # 4
    submit_if_unsent,  # 6
)
