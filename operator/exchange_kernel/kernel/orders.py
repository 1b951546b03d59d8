"""A kernel over objects: orders as OrderIntents, groups as OrderGroups. It writes specs and reads statuses; what is done about them is the operator's.

Where the objects are is the subclass's to say: on an API server (`kubernetes.py`), or in a file (`local.py`).
"""

from __future__ import annotations

import asyncio
import os
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from exchange_kernel.api import DesiredState, OrderGroupSpec, OrderIntentSpec
from exchange_kernel.core.group_checks import Known, price_wanted, unplaced
from exchange_kernel.kernel import verdicts
from exchange_kernel.kernel.base import ExchangeKernel
from exchange_kernel.kernel.checking import Check, check_group, check_order
from exchange_kernel.kernel.errors import ExchangeError, NotFoundError, ValidationError
from exchange_kernel.kernel.events import EventCallback, EventFilter
from exchange_kernel.kernel.following import ObjectApi, monotonic, wall_ms
from exchange_kernel.kernel.groups import GroupMirror, MemberOf, group_manifest, problems_of_group
from exchange_kernel.kernel.health import health
from exchange_kernel.kernel.mirror import Mirror, Mirrored, Scope
from exchange_kernel.kernel.models import OrderIntent, OrderState, State
from exchange_kernel.kernel.names import Names, fit_for_label, fit_for_object, keyed_name
from exchange_kernel.kernel.objects import Body, IntentObject, changed_spec, intent_object, manifest, order_intent, order_state
from exchange_kernel.kernel.refusals import definite, refusal
from exchange_kernel.kernel.subscriptions import Subscriptions
from exchange_kernel.kernel.writing import Patience, Writer
from exchange_kernel.kube.client import ORDER_GROUPS, ORDER_INTENTS, Answer
from exchange_kernel.schema import StandardOrder, StandardOrderGroup

ACKNOWLEDGE_TIMEOUT_S = 10.0
START_WITHIN_S = 5.0  # how long a start is tried that is not answered, as while the kinds are being installed
DRAIN_S = 5.0  # what callbacks have at a stop for the events that wait
AT_ONCE = 16  # cancels under way together


class ObjectsKernel(ExchangeKernel):
    """The orders of one strategy on one account, in one namespace."""

    def __init__(
        self,
        exchange_id: str,
        *,
        account: str,
        namespace: str,
        strategy: str | None,
        acknowledge_timeout: float,
        wall_ms: Callable[[], int] = wall_ms,
    ) -> None:
        super().__init__(exchange_id)
        if strategy is not None and not fit_for_label(strategy):
            raise ValidationError([f"strategy {strategy!r} can't name intents: use at most 63 of a-z, 0-9 and -, and neither begin nor end with -"])
        self._account, self._namespace, self._strategy = account, namespace, strategy
        self._acknowledge_timeout = acknowledge_timeout
        self._names = Names(strategy or "order", wall_ms=wall_ms, chance=os.urandom)
        self._subscriptions = Subscriptions()
        scope = Scope(namespace, account, strategy)
        self._mirror, self._groups = Mirror(scope, self._subscriptions.publish, wall_ms=wall_ms), GroupMirror(scope)
        self._intents = Writer(ORDER_INTENTS, namespace, self._mirror, lambda: self._api, self._uses)
        self._group_objects = Writer(ORDER_GROUPS, namespace, self._groups, lambda: self._api, self._uses)
        self._running: _Running | None = None
        self._changing = asyncio.Lock()

    @abstractmethod
    async def _connect(self) -> ObjectApi:
        """Where the objects are. Raises ExchangeError, which says what to do."""

    async def _leave(self) -> None:
        """What is to end before the following does, so that its last word is still told."""

    async def _market_problems(self, order: StandardOrder) -> list[str]:
        """What is known against the order by the rules of its market, in sentences, before it is placed."""
        return []

    async def _known(self, symbols: Collection[str], price_of: str | None) -> Known:
        """What groups are judged by before they are placed, as far as it is known here. `price_of`: the market whose last price is compared."""
        return Known(markets={}, all_markets=False)

    # ── Life ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        async with self._changing:
            if self._running is not None:
                return
            api = await self._connect()
            try:
                patience = Patience(START_WITHIN_S)
                for following in (self._mirror, self._groups):
                    while (refused := await following.begin(api)) is not None:
                        if definite(refused) or patience.exhausted:
                            raise refusal(refused, self._namespace)
                        await asyncio.sleep(patience.pause())
            except BaseException:
                await self._leave()
                await api.close()
                raise
            self._running = _Running(api, tuple(asyncio.create_task(following.follow(api)) for following in (self._mirror, self._groups)))

    async def stop(self) -> None:
        async with self._changing:
            if (running := self._running) is None:
                return
            await self._leave()
            self._running = None
            for task in running.following:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self._mirror.close()
            self._groups.close()
            await running.api.close()
        await self._subscriptions.drain(DRAIN_S)

    async def health_check(self) -> dict[str, Any]:
        """`healthy`: orders are seen, and every unfinished one is answered by the operator, with no outcome unknown and none that waits for a person."""
        return health(self._mirror, self._groups, started=self._running is not None, events_waiting=self._subscriptions.waiting, more=self._more_problems())

    def _more_problems(self) -> list[str]:
        """What else is wrong, as sentences."""
        return []

    @property
    def _api(self) -> ObjectApi:
        if self._running is None:
            raise ExchangeError("The kernel is not started: call start() first.")
        return self._running.api

    def _uses(self, api: ObjectApi) -> bool:
        """Whether it was not stopped since."""
        return self._running is not None and self._running.api is api

    # ── Placing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def place_order(self, order: StandardOrder, metadata: dict[str, Any] | None = None) -> str:
        name = self._names.new() if order.idempotency_key is None else keyed_name(self._account, order.idempotency_key)
        wanted = manifest(name, order, metadata, account=self._account, strategy=self._strategy)
        _ = self._api
        if problems := await self._market_problems(order):
            raise ValidationError(problems)
        # Another object of this name would be another order: one that was there and is gone stays so.
        made = await self._intents.create(name, wanted, lambda: order.idempotency_key is None and self._mirror.last_of(name) is not None)
        if made is not None and order.idempotency_key is not None:
            self._check_same(self._newest(made), order)
        if self._acknowledge_timeout > 0:
            verdicts.raise_if_refused(name, await self._wait(name, verdicts.has_verdict))
        return name

    def _check_same(self, intent: IntentObject, order: StandardOrder) -> None:
        """What was found under an idempotency key is this order, if perhaps changed since."""
        theirs, spec = intent.strategy, intent.spec
        if not self._mirror.scope.has(intent):
            raise ValidationError([f"the idempotency key is in use by strategy {theirs!r}: use another key"], intent_id=intent.name)
        if (spec.symbol, spec.side, spec.position_side, spec.type) != (order.symbol_id, order.side, order.position_side, order.type):
            other = f"{spec.side} {spec.type} {spec.symbol}"
            raise ValidationError([f"the idempotency key names another order already, {other}: use another key"], intent_id=intent.name)

    def _newest(self, raw: Body) -> IntentObject:
        known = self._mirror.learn(raw)
        return known.intent if known is not None else intent_object(raw)

    async def place_order_group(self, group: StandardOrderGroup, metadata: dict[str, Any] | None = None) -> list[str]:
        name = self._names.new()
        wanted = group_manifest(name, group, metadata, account=self._account, strategy=self._strategy)
        _ = self._api
        if problems := problems_of_group(wanted) or list((await self._checked_group(name, wanted)).refusals):
            raise ValidationError(problems)
        await self._group_objects.create(name, wanted, lambda: False)
        if self._acknowledge_timeout > 0:
            deadline = monotonic() + self._acknowledge_timeout
            placed = await self._groups.until(name, lambda known: known is None or verdicts.group_has_verdict(known), self._acknowledge_timeout)
            verdicts.raise_if_group_refused(name, placed)
            for made in [member.intent_id for member in placed.members if member.made] if placed is not None else ():
                # Its own watch may be behind the group's.
                await self._mirror.until(made, lambda known: known is not None and verdicts.has_verdict(known.intent), deadline - monotonic())
        return [f"{name}-{member.name}" for member in group.members]

    async def check(self, order: StandardOrder | StandardOrderGroup) -> Check:
        """Judge an order or a group, and send nothing: what `place_order` and `place_order_group` would refuse, and what would be sent.

        What is not known here is not judged, and said so. Raises ValidationError as `place_order_group` does for what can't be a group.
        """
        _ = self._api
        if isinstance(order, StandardOrderGroup):
            wanted = group_manifest("checked", order, None, account=self._account, strategy=self._strategy)
            if problems := problems_of_group(wanted):
                return Check(refusals=tuple(problems))
            return await self._checked_group("checked", wanted)
        if problems := order.problems():
            return Check(refusals=tuple(problems))
        spec = OrderIntentSpec.model_validate(manifest("checked", order, None, account=self._account, strategy=self._strategy)["spec"])
        return check_order(spec, await self._known([order.symbol_id], None))

    async def _checked_group(self, name: str, wanted: Body) -> Check:
        spec = OrderGroupSpec.model_validate(wanted["spec"])
        price_of = price_wanted(*unplaced(spec, name))
        return check_group(spec, name, await self._known({member.symbol for member in spec.members}, price_of))

    async def _wait(self, name: str, enough: Callable[[IntentObject], bool], within: float | None = None) -> IntentObject | None:
        """The intent once it is `enough`, or as it is at the acknowledge timeout or after so long; None: it was deleted before it was."""
        within = self._acknowledge_timeout if within is None else within
        known = await self._mirror.until(name, lambda known: known is None or enough(known.intent), within)
        intent = known.intent if known is not None else self._mirror.last_of(name)
        if intent is None or enough(intent):
            return intent
        if known is None:
            return None
        if self._running is not None and isinstance(read := await self._intents.read(name), dict):
            return self._newest(read)  # the watch may have gone silent
        return intent

    # ── Changing ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def modify_order(self, intent_id: str, new_order: StandardOrder) -> None:
        found = await self._find(intent_id)
        if problems := await self._market_problems(new_order):
            raise ValidationError(problems, intent_id=intent_id)
        if (member := self._groups.member(intent_id)) is not None:
            await self._edit_member(member, lambda terms: verdicts.modified_member(terms, new_order))
        elif not await self._intents.edit(intent_id, lambda raw: changed_spec(raw, new_order), intent_id=intent_id):
            raise self._not_found(intent_id)
        if self._acknowledge_timeout > 0 and isinstance(found, IntentObject):
            enough = verdicts.change_has_verdict if member is None else partial(verdicts.members_change_has_verdict, member, new_order)
            verdicts.raise_if_change_refused(intent_id, await self._wait(intent_id, enough))

    async def cancel_order(self, intent_id: str) -> None:
        found = await self._find(intent_id)
        if found.finished:
            return
        await self._ask_to_cancel(intent_id, found)
        if self._acknowledge_timeout > 0:
            await self._end_of(intent_id)
            known = self._mirror.get(intent_id)
            if known is not None and verdicts.cancel_refused(known.intent):
                why = verdicts.why(known.intent)
                raise ExchangeError(f"{why} The operator goes on trying.", intent_id=intent_id, reason=why)

    async def _ask_to_cancel(self, name: str, found: IntentObject | MemberOf) -> None:
        if (member := self._groups.member(name)) is not None:
            await self._edit_member(member, verdicts.cancelled_member)
        elif isinstance(found, MemberOf) or found.spec.desired_state is not DesiredState.CANCELED:
            patch = {"spec": {"desiredState": str(DesiredState.CANCELED)}}
            if not await self._intents.edit(name, lambda raw: None if _ended_or_cancelled(raw) else patch, intent_id=name, at_once=patch):
                raise self._not_found(name)

    async def _edit_member(self, member: MemberOf, change: Callable[[Body], Body]) -> None:
        """Change one member in its group: the list is written whole, at the version it was read."""

        def edited(raw: Body) -> Body | None:
            members = [change(terms) if terms["name"] == member.spec.name else terms for terms in raw["spec"]["members"]]
            if members == raw["spec"]["members"]:
                return None
            return {"metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]}, "spec": {"members": members}}

        if not await self._group_objects.edit(member.group.name, edited, intent_id=member.intent_id):
            raise self._not_found(member.intent_id)

    async def cancel_all_orders(self, symbol_id: str | None = None) -> int:
        _ = self._api
        unfinished = [state.intent_id for state in await self.get_all_orders(symbol_id) if not state.finished and state.state not in verdicts.ENDED]
        room, deadline = asyncio.Semaphore(AT_ONCE), monotonic() + self._acknowledge_timeout

        async def cancel(intent_id: str) -> bool:
            async with room:
                with suppress(NotFoundError):
                    await self._ask_to_cancel(intent_id, await self._find(intent_id))
            return await self._end_of(intent_id, within=deadline - monotonic()) is State.CANCELED

        # Members of one group edit one object: what came in between is read again and edited again.
        answers = await asyncio.gather(*(cancel(intent_id) for intent_id in unfinished), return_exceptions=True)
        if errors := [answer for answer in answers if isinstance(answer, BaseException)]:
            raise errors[0]
        return sum(answer is True for answer in answers)

    async def _end_of(self, name: str, within: float | None = None) -> State | None:
        """The state in which the order ended, or None if it has not in time; a refused cancel is waited for no longer."""
        until = monotonic() + (self._acknowledge_timeout if within is None else within)

        def enough(known: Mirrored | None) -> bool:
            return known is None or verdicts.ended(known.intent) or verdicts.cancel_refused(known.intent)

        def made_or_ended(_: object) -> bool:
            return (member := self._groups.member(name)) is None or member.finished or member.made

        while True:
            left = until - monotonic()
            if self._mirror.get(name) is not None or self._mirror.last_of(name) is not None:
                known = await self._mirror.until(name, enough, left)
                intent = known.intent if known is not None else self._mirror.last_of(name)
                return intent.status.state if intent is not None and verdicts.ended(intent) else None
            member = self._groups.member(name)
            if member is None or member.finished or left <= 0:
                return member.state if member is not None and member.finished else None
            if member.made:
                await self._mirror.until(name, lambda known: known is not None, left)
            else:
                await self._groups.until(member.group.name, made_or_ended, left)

    # ── What is wanted, and what is ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def get_order_intent(self, intent_id: str) -> OrderIntent:
        return self._intent_of(await self._find(intent_id))

    async def get_order_state(self, intent_id: str) -> OrderState:
        return self._state_of(await self._find(intent_id))

    async def get_all_intents(self, symbol_id: str | None = None) -> list[OrderIntent]:
        return [self._intent_of(found) for found in self._all(symbol_id)]

    async def get_all_orders(self, symbol_id: str | None = None) -> list[OrderState]:
        return [self._state_of(found) for found in self._all(symbol_id)]

    def _all(self, symbol_id: str | None) -> Iterable[IntentObject | MemberOf]:
        """Oldest first; what came in the same moment by name, which sorts by time."""
        _ = self._api
        members = [member for member in self._groups.members() if self._mirror.get(member.intent_id) is None]
        everything: list[IntentObject | MemberOf] = [*(known.intent for known in self._mirror.all()), *members]
        return [one for one in sorted(everything, key=self._age_key) if symbol_id in (None, one.spec.symbol)]

    def _age_key(self, one: IntentObject | MemberOf) -> tuple[datetime, str, int]:
        """Members are as old as their group, in its order."""
        member = one if isinstance(one, MemberOf) else self._groups.member(one.name)
        if member is None:
            return one.created, one.intent_id, 0
        return member.group.created, member.group.name, [terms.name for terms in member.group.spec.members].index(member.spec.name)

    def _intent_of(self, found: IntentObject | MemberOf) -> OrderIntent:
        if isinstance(found, MemberOf):
            return found.order_intent(exchange_id=self.exchange_id, age_seconds=self._groups.age_seconds)
        return order_intent(found, exchange_id=self.exchange_id, age_seconds=self._age(found))

    def _state_of(self, found: IntentObject | MemberOf) -> OrderState:
        if isinstance(found, MemberOf):
            return found.order_state(age_seconds=self._groups.age_seconds)
        return order_state(found, sequence=self._mirror.sequence(found.name), age_seconds=self._age(found))

    def _age(self, intent: IntentObject) -> float:
        """How old (s) what is known of it is; what is not mirrored was read just now."""
        return self._mirror.age_seconds if self._mirror.get(intent.name) is not None else 0.0

    async def _find(self, name: str) -> IntentObject | MemberOf:
        """An intent of this kernel, or the member that will have one. Raises NotFoundError."""
        _ = self._api
        if (known := self._mirror.get(name)) is not None:
            return known.intent
        if (member := self._groups.member(name)) is not None:
            return member
        if not fit_for_object(name):
            raise self._not_found(name)
        read = await self._intents.read(name)  # perhaps made by another process just now
        if isinstance(read, Answer):
            raise self._not_found(name) if read.status == 404 else refusal(read, self._namespace, name)
        found = self._newest(read)
        if not self._mirror.scope.has(found):
            raise NotFoundError(
                f"The intent {name} is of account {found.spec.account_ref.name!r} and strategy {found.strategy!r}: use a kernel for those.", intent_id=name
            )
        return found

    def _not_found(self, name: str) -> NotFoundError:
        return NotFoundError(f"There is no intent {name!r} in namespace {self._namespace}.", intent_id=name)

    # ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def subscribe_events(self, callback: EventCallback, event_filter: EventFilter | None = None) -> str:
        return self._subscriptions.add(callback, event_filter)

    def unsubscribe_events(self, subscription_id: str) -> None:
        self._subscriptions.remove(subscription_id)


@dataclass(frozen=True, slots=True)
class _Running:
    api: ObjectApi
    following: tuple[asyncio.Task[None], ...]


def _ended_or_cancelled(raw: Body) -> bool:
    return "completionTime" in (raw.get("status") or {}) or raw["spec"].get("desiredState") == DesiredState.CANCELED
