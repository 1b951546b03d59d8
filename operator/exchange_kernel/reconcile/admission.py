"""One active ExchangeAccount object per account at the exchange (rule 13): who has it, and who waits."""

from __future__ import annotations

from collections.abc import Iterable

from exchange_kernel.api import Environment
from exchange_kernel.reconcile.ports import NotConnectable
from exchange_kernel.stores.port import AccountRecord, AccountStore, Unavailable

CHECKING = NotConnectable("Ready", "Checking", "Whether another ExchangeAccount object is on the same account at the exchange is being found out.")


async def admit(store: AccountStore, account: AccountRecord, fingerprint: str) -> NotConnectable | None:
    """Why this object may not send yet, or None.

    The fingerprint is pinned first and the others are listed after: of two that begin at once, at least one sees the other.
    """
    current = store.get(account.uid)
    if current is None:
        return CHECKING
    if current.status.fingerprint is None and not await store.write_status(current, current.status.model_copy(update={"fingerprint": fingerprint})):
        return CHECKING
    everyone = await store.list_all()
    current = store.get(account.uid)
    if isinstance(everyone, Unavailable) or current is None or current.status.fingerprint != fingerprint:
        return CHECKING
    rivals = same_account(current, everyone)
    for rival in rivals:
        # A younger one makes room as soon as it sees this one's fingerprint, and says so by its conditions.
        if _older(rival, current) or _acts(rival):
            return another(rival)
    return None


def refused_by(account: AccountRecord, others: Iterable[AccountRecord]) -> AccountRecord | None:
    """The older object on the same account at the exchange, if there is one."""
    return next((other for other in same_account(account, others) if _older(other, account)), None)


def same_account(account: AccountRecord, others: Iterable[AccountRecord]) -> list[AccountRecord]:
    """The other objects that are on the same account at the exchange, by the fingerprints in their status."""
    fingerprint = account.status.fingerprint
    if fingerprint is None:
        return []
    here = place_of(account, fingerprint)
    return [other for other in others if other.uid != account.uid and place_of(other, other.status.fingerprint) == here]


def other_markets(account: AccountRecord, others: Iterable[AccountRecord]) -> list[AccountRecord]:
    """The objects of the same account at the exchange that trade another market type of it."""
    fingerprint = account.status.fingerprint
    if fingerprint is None:
        return []
    here = _exchange_account(account, fingerprint)
    return [
        other for other in others
        if other.spec.market_type != account.spec.market_type and _exchange_account(other, other.status.fingerprint) == here
    ]


def another(rival: AccountRecord) -> NotConnectable:
    message = (
        f"ExchangeAccount {rival.namespace}/{rival.name} is on the same account at the exchange, and only one may trade on it: "
        "move this object's intents there and delete this object, or delete the other one."
    )
    return NotConnectable("Ready", "AnotherExchangeAccount", message)


def place_of(account: AccountRecord, fingerprint: str | None) -> tuple[object, ...]:
    """Which account at which exchange an object is on, and which of its markets it trades: what one object at a time may act for."""
    return (*_exchange_account(account, fingerprint), account.spec.market_type)


def _exchange_account(account: AccountRecord, fingerprint: str | None) -> tuple[object, ...]:
    # Each simulated exchange numbers its accounts from one; a gateway in front of a real one does not make another exchange of it.
    spec = account.spec
    where = spec.endpoint.rest if spec.environment is Environment.SIMULATED and spec.endpoint is not None else None
    return (spec.exchange, spec.environment, where, fingerprint)


def _older(one: AccountRecord, other: AccountRecord) -> bool:
    return (one.created_ms, one.uid) < (other.created_ms, other.uid)


def _acts(account: AccountRecord) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in account.status.conditions)
