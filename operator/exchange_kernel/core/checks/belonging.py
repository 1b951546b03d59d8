"""Whose is it: the account that the order is on, and the intent that has it (rules 2, 13)."""

from __future__ import annotations

from exchange_kernel.api import DesiredState, OrderState
from exchange_kernel.core.actions import Decision, Release, Verdict, Waiting
from exchange_kernel.core.facts import Facts
from exchange_kernel.core.order import OrderRecord

ANOTHER_ORDER = (
    "The exchange has an order of this idempotencyKey that differs in symbol, side, type or quantity, and nothing is done to it: use another key, or write "
    "spec as that order is."
)


def right_account_only(facts: Facts) -> Decision | None:
    """13: on another account at the exchange "not found" is honest and means nothing, so nothing is asked, sent or let go there."""
    pinned = facts.order.status.account
    if pinned is None or pinned.fingerprint == facts.seen.account.fingerprint:
        return None
    message = "The account's credentials are of another account at the exchange than the one this order is on: put the old Secret back."
    return Decision(waiting=Waiting("AnotherAccount", message, person=True))


def leave_strangers_alone(facts: Facts) -> Decision | None:
    """2: Leave alone, or let go, an intent that names a group which did not make it.

    It was never sent. Its ids are those of the group's own member, so nothing is looked up or cancelled by them.
    """
    if facts.seen.group is None or not facts.seen.group.stranger:
        return None
    if facts.order.deleting:
        return release(facts.order)
    if facts.spec.desired_state is DesiredState.CANCELED:
        return Decision(verdict=Verdict(OrderState.CANCELED, "CanceledAsAsked", "Canceled before it was sent."))
    return Decision(waiting=facts.seen.group.held)


def leave_it_to_its_holder(facts: Facts) -> Decision | None:
    """2: an order that another intent has is that one's: this one sends nothing, and going away it takes nothing with it."""
    if facts.seen.holder is None:
        return None
    if facts.order.deleting:
        return release(facts.order)
    holder = facts.seen.holder
    if facts.spec.group_ref is not None and not facts.order.attempts:
        why = f"spec.groupRef names the place of OrderIntent {holder.name} in its OrderGroup, which is gone: delete this one, which cancels nothing."
        return Decision(waiting=Waiting("HeldByAnotherIntent", why, person=True))
    if facts.spec.idempotency_key is None:
        why = f"This object's status was copied from OrderIntent {holder.name}, which holds its order: delete this one, and create it without status."
        return Decision(waiting=Waiting("HeldByAnotherIntent", why, person=True))
    if holder.agrees:
        why = f"OrderIntent {holder.name} has the same idempotencyKey and holds its order: delete one of the two, or use another key."
        return Decision(waiting=Waiting("HeldByAnotherIntent", why, person=True))
    why = (
        f"OrderIntent {holder.name} on ExchangeAccount {holder.account} has this idempotencyKey for another order of the same account at the exchange, and "
        "nothing is sent: delete this one, which cancels nothing, and use another key."
    )
    return Decision(waiting=Waiting("KeyInUse", why, person=True))


def adopt_only_what_agrees(facts: Facts) -> Decision | None:
    """2: an order found by a key that is not the one spec asks for is never taken for it: the key was used for something else."""
    if not facts.anothers:
        return None
    return release(facts.order) if facts.order.deleting else Decision(waiting=Waiting("AnotherOrder", ANOTHER_ORDER, person=True))


def release(order: OrderRecord) -> Decision:
    """Let the object go; of one that is gone already, the memory of it."""
    return Decision(Release()) if order.finalizer or order.gone else Decision()
