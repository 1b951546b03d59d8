"""The three reconcilers of one process, and who wakes whom. What their stores are, and how an account is reached, is said by who puts them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from exchange_kernel.core.groups import GroupRecord
from exchange_kernel.core.order import OrderRecord
from exchange_kernel.reconcile.exchange_account import ExchangeAccountReconciler, Speaks, alone
from exchange_kernel.reconcile.journaled import journaled_store
from exchange_kernel.reconcile.memory import Memory
from exchange_kernel.reconcile.order_group import CANCELS_FIRST_S, OrderGroupReconciler
from exchange_kernel.reconcile.order_intent import OrderIntentReconciler
from exchange_kernel.reconcile.ports import Clock, Events, Journal, NoJournal
from exchange_kernel.reconcile.session import AccountSession
from exchange_kernel.reconcile.wakeups import Wakeups
from exchange_kernel.stores.port import AccountRecord, AccountStore, GroupStore, IntentStore


class Reconcilers:
    """Of accounts, groups and intents. `new_session` makes an account's; what that tells of an intent is for `wake_intent`."""

    def __init__(
        self,
        *,
        accounts: AccountStore,
        groups: GroupStore,
        intents: IntentStore,
        memory: Memory,
        clock: Clock,
        new_session: Callable[[AccountRecord, Callable[[], None]], AccountSession],
        events: Events | None = None,
        journal: Journal | None = None,
        speaks: Speaks = alone,
    ) -> None:
        self._accounts, self._groups, self._intents, self._memory = accounts, groups, intents, memory
        self.account_wakeups = Wakeups(lambda uid: self.account_reconciler.reconcile(uid))
        self.group_wakeups = Wakeups(lambda uid: self.group_reconciler.reconcile(uid))
        self.intent_wakeups = Wakeups(lambda uid: self.intent_reconciler.reconcile(uid))
        self.account_reconciler = ExchangeAccountReconciler(
            store=accounts,
            intents=intents,
            memory=memory,
            new_session=new_session,
            wake=self.account_wakeups.wake,
            wake_after=self.account_wakeups.wake_after,
            wake_intents=self.wake_all_of,
            speaks=speaks,
            wake_record_after=lambda record, seconds: (
                self.group_wakeups if isinstance(record, GroupRecord) else self.intent_wakeups
            ).wake_after(record.uid, seconds),
            wall_ms=clock.wall_ms,
            events=events,
        )
        journaled = journaled_store(intents, journal or NoJournal())
        self.group_reconciler = OrderGroupReconciler(
            store=groups,
            intents=journaled,
            session_of=self.account_reconciler.session_of,
            wake_intent=self.intent_wakeups.wake,
            wake_after=self.group_wakeups.wake_after,
            wall_ms=clock.wall_ms,
            unchanged=lambda record, session, request, alongside: self.intent_reconciler.unchanged(
                record, session, request, first=True, alongside=alongside
            ),
            events=events,
        )
        self.intent_reconciler = OrderIntentReconciler(
            store=journaled,
            memory=memory,
            session_of=self.account_reconciler.session_of,
            wake_after=self.intent_wakeups.wake_after,
            wall_ms=clock.wall_ms,
            events=events,
            membership=self.group_reconciler.membership,
            undone=self.group_reconciler.undone,
            written=self._wake_group,
        )

    def wake_intent(self, uid: str) -> None:
        """An intent; but first the others of its group. What fills one may cancel another, and that waits neither for a write nor for whoever is at one."""
        record = self._intents.get(uid)
        if record is None or record.spec.group_ref is None:
            self.intent_wakeups.wake(uid)
            return
        for sibling in self.group_reconciler.siblings(record):
            if not self._cancelled_at_once(sibling):
                self.intent_wakeups.wake(sibling)
        asyncio.get_running_loop().call_later(CANCELS_FIRST_S, self._wake_with_group, uid, record.spec.group_ref.uid)

    def _cancelled_at_once(self, uid: str) -> bool:
        """Whether a fill undid this order and its cancel has begun: its next reconcile call, which follows, would do nothing else first."""
        if self.intent_wakeups.running(uid) or (record := self._intents.get(uid)) is None:
            return False
        session = self.account_reconciler.session_at_hand(record)
        if session is None or (cancelling := self.intent_reconciler.cancel_undone(record, session)) is None:
            return False
        cancelling.add_done_callback(lambda _: self.intent_wakeups.wake(uid))
        return True

    def _wake_with_group(self, uid: str, group_uid: str) -> None:
        self.intent_wakeups.wake(uid)
        self.group_wakeups.wake(group_uid)

    def intent_gone(self, record: OrderRecord) -> None:
        """An intent is no more in its store; `record` is the last that was known of it."""
        self.intent_reconciler.take_over(record)
        self.intent_wakeups.wake(record.uid)
        self._wake_group(record)

    def _wake_group(self, record: OrderRecord) -> None:
        if record.spec.group_ref is not None:
            self.group_wakeups.wake(record.spec.group_ref.uid)

    def wake_all_of(self, account: AccountRecord) -> None:
        """All intents and groups of an account, and those of its intents that go on in memory."""
        for record in self._intents.of_account(account.namespace, account.name):
            self.intent_wakeups.wake(record.uid)
        for record in self._memory.gone_of(account.namespace, account.name):
            self.intent_wakeups.wake(record.uid)
        for group in self._groups.of_account(account.namespace, account.name):
            self.group_wakeups.wake(group.uid)

    def wake_namespace(self, namespace: str) -> None:
        """A RiskLimit of the namespace changed: what it held back may go, and what is to be sent is judged anew at the wire."""
        for account in self._accounts.all():
            if account.namespace == namespace:
                self.wake_all_of(account)

    async def rested(self, account: AccountRecord) -> None:
        """Return when nothing of an account is being reconciled that was woken before now."""
        await asyncio.sleep(2 * CANCELS_FIRST_S)  # members are woken so much later
        await self.intent_wakeups.rested(record.uid for record in self._intents.of_account(account.namespace, account.name))
        await self.group_wakeups.rested(group.uid for group in self._groups.of_account(account.namespace, account.name))

    async def close(self, drain: float) -> None:
        """Begin nothing new, let orders under way be answered for so many seconds, and give up what is held."""
        await self.group_wakeups.close(within=1.0)
        await self.intent_wakeups.close(within=drain)
        await self.account_wakeups.close(within=1.0)
        await self.account_reconciler.close()
