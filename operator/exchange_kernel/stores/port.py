"""Where intents and accounts live, as the reconcilers see it. Writes carry the version they were decided on; a stale one ends in Conflict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from exchange_kernel.api import AccountStateStatus, ExchangeAccountSpec, ExchangeAccountStatus, MarketSpec, OrderGroupStatus, OrderIntentSpec, OrderIntentStatus
from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.core.risk import LimitRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """An ExchangeAccount as the store has it."""

    uid: str
    namespace: str
    name: str
    generation: int
    resource_version: str
    spec: ExchangeAccountSpec
    status: ExchangeAccountStatus
    created_ms: int = 0  # by the API server's clock
    deleting: bool = False
    finalizer: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    record: OrderRecord


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody wrote in between: read again and decide again."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The object is no more: it was deleted past its finalizer."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The store did not take the write, or did not say: the facts are re-derived and written later. Nothing is ever re-sent because of it."""

    reason: str
    forbidden: bool = False  # an admission policy of ours does not know this process as the operator, until a person adds its name


WriteOutcome: TypeAlias = Written | Conflict | Gone | Unavailable


@dataclass(frozen=True, slots=True)
class Found:
    """It was there already, and says that it is what was to be made: our own request of which we never heard, or somebody else's."""

    record: OrderRecord


@dataclass(frozen=True, slots=True)
class NameTaken:
    """Somebody else's object has the name."""


@dataclass(frozen=True, slots=True)
class Inadmissible:
    """The schema or an admission policy refused it, and would again: its own words."""

    message: str


@dataclass(frozen=True, slots=True)
class GroupWritten:
    record: GroupRecord


GroupWriteOutcome: TypeAlias = GroupWritten | Conflict | Gone | Unavailable
CreateOutcome: TypeAlias = Written | Found | NameTaken | Inadmissible | Unavailable


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent list of intents and the version it was taken at."""

    records: tuple[OrderRecord, ...]
    version: int
    complete: bool = True  # False when an object could not be read: what no record explains may be that one's


class IntentStore(Protocol):
    def get(self, uid: str) -> OrderRecord | None:
        """The newest version this process has seen, own writes included. No I/O."""
        ...

    def of_account(self, namespace: str, account: str) -> Iterable[OrderRecord]: ...

    async def read(self, uid: str) -> OrderRecord | Unavailable | None:
        """The object as it is now, past all caches; None once it is gone."""
        ...

    async def list_all(self, namespace: str) -> Snapshot | Unavailable: ...

    async def write_status(self, record: OrderRecord, status: OrderIntentStatus) -> WriteOutcome: ...

    def named(self, namespace: str, name: str) -> OrderRecord | None: ...

    async def create_member(self, group: GroupRecord, name: str, spec: OrderIntentSpec, *, owned: bool) -> CreateOutcome:
        """Make a member's object, its finalizer on it. `owned`: it goes with its group; an exit must outlive it, and is not."""
        ...

    async def write_spec(self, record: OrderRecord, spec: OrderIntentSpec) -> WriteOutcome | Inadmissible:
        """Change what an order is to be, at the version it was decided on."""
        ...

    async def add_finalizer(self, record: OrderRecord) -> WriteOutcome: ...

    async def remove_finalizer(self, record: OrderRecord) -> WriteOutcome: ...

    async def remove(self, record: OrderRecord) -> WriteOutcome:
        """Delete this very version of the object; Gone once it is."""
        ...

    def created_version(self, uid: str) -> int | None:
        """The version at which a watch without selectors reported the object's creation; None if it was first seen in a list (rule 6)."""
        ...


class GroupStore(Protocol):
    def get(self, uid: str) -> GroupRecord | None: ...

    def of_account(self, namespace: str, account: str) -> Iterable[GroupRecord]: ...

    async def list_all(self, namespace: str) -> tuple[GroupRecord, ...] | Unavailable:
        """One consistent list, for what the watch did not tell."""
        ...

    async def write_status(self, record: GroupRecord, status: OrderGroupStatus) -> GroupWriteOutcome: ...

    async def add_finalizer(self, record: GroupRecord) -> GroupWriteOutcome: ...

    async def remove_finalizer(self, record: GroupRecord) -> GroupWriteOutcome: ...

    async def remove(self, record: GroupRecord) -> GroupWriteOutcome:
        """Delete this very version of the object."""
        ...


class AccountStore(Protocol):
    def all(self) -> Iterable[AccountRecord]: ...

    def get(self, uid: str) -> AccountRecord | None: ...

    def named(self, namespace: str, name: str) -> AccountRecord | None: ...

    async def read(self, uid: str) -> AccountRecord | Unavailable | None:
        """The object as it is now, past all caches; None once it is gone."""
        ...

    async def list_all(self) -> tuple[AccountRecord, ...] | Unavailable:
        """One consistent list of all accounts this process acts for; own writes that were answered are in it."""
        ...

    async def missing(self, namespace: str, name: str) -> bool:
        """Whether there is provably no such account now: not merely none that this process has been told of."""
        ...

    async def write_status(self, record: AccountRecord, status: ExchangeAccountStatus) -> bool:
        """Write what differs; False if it could not be written now."""
        ...

    async def add_finalizer(self, record: AccountRecord) -> bool:
        """False if it could not be written now."""
        ...

    async def remove_finalizer(self, record: AccountRecord) -> bool: ...


class LimitStore(Protocol):
    def of_account(self, namespace: str, account: str) -> tuple[LimitRecord, ...] | None:
        """The RiskLimits on an account, by name; None until those of its namespace were read once. No I/O."""
        ...

    async def read(self, namespace: str) -> bool:
        """Read them all, past all caches; False if they can't be had now."""
        ...


class NoLimits:
    """For who has none."""

    def of_account(self, namespace: str, account: str) -> tuple[LimitRecord, ...] | None:
        return ()

    async def read(self, namespace: str) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRecord:
    """A Market as the store has it."""

    uid: str
    namespace: str
    name: str
    resource_version: str
    spec: MarketSpec | None  # None: not to be read by this version
    owners: Mapping[str, str] = field(default_factory=dict)  # the ExchangeAccounts that need it: names by UID


class MarketStore(Protocol):
    """Writes answer False where something stood in the way: all is looked at and tried again."""

    async def list_all(self, namespace: str) -> tuple[MarketRecord, ...] | Unavailable: ...

    async def create(self, account: AccountRecord, name: str, spec: MarketSpec) -> bool: ...

    async def write(self, old: MarketRecord, new: MarketRecord) -> bool: ...

    async def remove(self, record: MarketRecord) -> bool: ...


class AccountStateStore(Protocol):
    async def current(self, account: AccountRecord) -> AccountStateStatus | Unavailable:
        """What was last written, by this process or another; the object is made if there is none."""
        ...

    def asked(self, account: AccountRecord) -> str | None:
        """The token with which somebody asks for a reading of all orders, as far as the object is known. No I/O."""
        ...

    async def write(self, account: AccountRecord, old: AccountStateStatus, new: AccountStateStatus) -> bool:
        """False if it could not be written; `current` is to be asked again."""
        ...
