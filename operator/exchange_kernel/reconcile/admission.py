"""One active ExchangeAccount object per account at the exchange (rule 13): who has it, and who waits."""

from __future__ import annotations

from collections.abc import Iterable

from exchange_kernel.core.endpoints import source_of
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
    pinned = {"fingerprint": fingerprint, "fingerprint_source": learned_at(account)}
    if current.status.fingerprint in (None, fingerprint) and not await store.write_status(current, current.status.model_copy(update=pinned)):
        return CHECKING
    everyone = await store.list_all()
    current = store.get(account.uid)
    if isinstance(everyone, Unavailable) or current is None or current.status.fingerprint != fingerprint:
        return CHECKING
    rivals = same_account(current, everyone)
    for rival in rivals:
        # A younger one makes room as soon as it sees this one's fingerprint, and says so by its conditions.
        if _older(rival, current) or _acts(rival):
            return another(current, rival)
    return None


def refused_by(account: AccountRecord, others: Iterable[AccountRecord]) -> AccountRecord | None:
    """The older object on the same account at the exchange, if there is one."""
    return next((other for other in same_account(account, others) if _older(other, account)), None)


def same_account(account: AccountRecord, others: Iterable[AccountRecord]) -> list[AccountRecord]:
    """The other objects that are on the same account at the exchange, by the fingerprints in their status."""
    if account.status.fingerprint is None:
        return []
    here = (*_claimed(account), account.spec.market_type)
    return [other for other in others if other.uid != account.uid and _counts(other) and (*_claimed(other), other.spec.market_type) == here]


def other_markets(account: AccountRecord, others: Iterable[AccountRecord]) -> list[AccountRecord]:
    """The objects of the same account at the exchange that trade another market type of it."""
    if account.status.fingerprint is None:
        return []
    here = _claimed(account)
    return [other for other in others if other.spec.market_type != account.spec.market_type and _counts(other) and _claimed(other) == here]


def another(account: AccountRecord, rival: AccountRecord) -> NotConnectable:
    message = (
        f"Only one ExchangeAccount may trade on an account at the exchange, and {named_to(account, rival)} is on this one: "
        "move this object's intents there and delete this object, or have the other one deleted."
    )
    return NotConnectable("Ready", "AnotherExchangeAccount", message)


def named_to(account: AccountRecord, rival: AccountRecord) -> str:
    """The rival in a text for the owner of `account`: whose namespace another one is, is not theirs to know."""
    if rival.namespace == account.namespace:
        return f"the ExchangeAccount {rival.name} of this namespace"
    return "another ExchangeAccount of this installation"


def place_of(account: AccountRecord, fingerprint: str | None) -> tuple[object, ...]:
    """The account at the exchange to which an object's spec leads, and its market type: what one object at a time may act for."""
    spec = account.spec
    return (spec.exchange, spec.environment, learned_at(account), fingerprint, spec.market_type)


def learned_at(account: AccountRecord) -> str:
    """Where an object's spec has the account's fingerprint read. An endpoint that is not allowed is never asked."""
    spec = account.spec
    return source_of(spec.environment, spec.endpoint.rest if spec.endpoint is not None else None)


def _claimed(account: AccountRecord) -> tuple[object, ...]:
    """The account at the exchange that an object was found to be on. A spec that was edited since then does not change where that was."""
    spec, status = account.spec, account.status
    return (spec.exchange, spec.environment, status.fingerprint_source or learned_at(account), status.fingerprint)


def _counts(account: AccountRecord) -> bool:
    """Whether its claim counts. One of an earlier release does not tell its source: it counts until the exchange, or we, refuse the account."""
    refused = {("CredentialsValid", "False"), ("Stalled", "True")}
    return account.status.fingerprint_source is not None or not any((one.type, one.status) in refused for one in account.status.conditions)


def _older(one: AccountRecord, other: AccountRecord) -> bool:
    return (one.created_ms, one.uid) < (other.created_ms, other.uid)


def _acts(account: AccountRecord) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in account.status.conditions)
