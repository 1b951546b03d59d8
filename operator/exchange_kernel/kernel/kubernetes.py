"""KubernetesKernel: orders as OrderIntents. It writes specs and reads statuses; what is done about them is the operator's.

This release has place, cancel, the state of one order, and events. Needs create, get, list, watch and patch on orderintents in its namespace.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from exchange_kernel.api import DesiredState
from exchange_kernel.kernel.base import ExchangeKernel
from exchange_kernel.kernel.errors import ExchangeError, NotAvailableError, NotFoundError, ValidationError
from exchange_kernel.kernel.events import EventCallback, EventFilter
from exchange_kernel.kernel.mirror import Mirror, Mirrored, Scope
from exchange_kernel.kernel.models import AccountState, AssetMetadata, OrderIntent, OrderState, Position, State
from exchange_kernel.kernel.names import Names, fit_for_label, fit_for_object, keyed_name
from exchange_kernel.kernel.objects import Body, IntentObject, intent_object, manifest, order_intent, order_state
from exchange_kernel.kernel.refusals import definite, refusal
from exchange_kernel.kernel.subscriptions import Subscriptions
from exchange_kernel.kube.client import ORDER_INTENTS, WATCH_GRACE_S, WATCH_S, Answer, ApiClient
from exchange_kernel.kube.config import NoCluster, access, pod_namespace
from exchange_kernel.schema import StandardOrder, StandardOrderGroup, SymbolMetadata

ACKNOWLEDGE_TIMEOUT_S = 10.0
START_WITHIN_S = 5.0  # how long a start is tried that is not answered, as while the kinds are being installed
DURABLE_WITHIN_S = 30.0  # how long a write is tried whose answer does not come: the time in which an API server is restarted
DRAIN_S = 5.0  # what callbacks have at a stop for the events that wait
ANSWERED_WITHIN_S = 10.0  # an operator that runs looks at a changed intent much sooner
RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)

#: The exchange has not been heard on the order.
NO_VERDICT = frozenset({State.PENDING, State.SUBMITTING, State.UNKNOWN})
ENDED = frozenset({State.FILLED, State.CANCELED, State.EXPIRED, State.REJECTED, State.DENIED})


class KubernetesKernel(ExchangeKernel):
    """The orders of one strategy on one ExchangeAccount, in one namespace.

    exchange_id: names the ExchangeAccount, unless `account` does.
    namespace: where it and the intents are; by default the pod's own.
    strategy: whose the orders are, an RFC 1123 label. Intents are named after it, and it sees no others. None: all intents of the account.
    kubeconfig: of the cluster; by default the pod's service account. KUBECONFIG is not read.
    acknowledge_timeout: seconds that place_order and cancel_order wait for the exchange; 0: not at all.
    """

    def __init__(
        self,
        exchange_id: str,
        account: str | None = None,
        namespace: str | None = None,
        strategy: str | None = None,
        kubeconfig: str | os.PathLike[str] | None = None,
        acknowledge_timeout: float = ACKNOWLEDGE_TIMEOUT_S,
    ) -> None:
        super().__init__(exchange_id)
        if strategy is not None and not fit_for_label(strategy):
            raise ValidationError([f"strategy {strategy!r} can't name intents: use at most 63 of a-z, 0-9 and -, and neither begin nor end with -"])
        self._account = account or exchange_id
        self._namespace = namespace or pod_namespace("default")
        self._strategy = strategy
        self._kubeconfig = Path(kubeconfig) if kubeconfig is not None else None
        self._acknowledge_timeout = acknowledge_timeout
        self._names = Names(strategy or "order", wall_ms=lambda: time.time_ns() // 1_000_000, chance=os.urandom)
        self._subscriptions = Subscriptions()
        self._mirror = Mirror(Scope(self._namespace, self._account, strategy), self._subscriptions.publish)
        self._running: _Running | None = None
        self._changing = asyncio.Lock()

    # ── Life ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        async with self._changing:
            if self._running is not None:
                return
            try:
                api = ApiClient(access(self._kubeconfig))
            except NoCluster as error:
                raise ExchangeError(str(error)) from None
            try:
                patience = _Patience(START_WITHIN_S)
                while (refused := await self._mirror.begin(api)) is not None:
                    if definite(refused) or patience.exhausted:
                        raise refusal(refused, self._namespace)
                    await asyncio.sleep(patience.pause())
            except BaseException:
                await api.close()
                raise
            self._running = _Running(api, asyncio.create_task(self._mirror.follow(api)))

    async def stop(self) -> None:
        async with self._changing:
            if (running := self._running) is None:
                return
            self._running = None
            running.following.cancel()
            with suppress(asyncio.CancelledError):
                await running.following
            self._mirror.close()
            await running.api.close()
        await self._subscriptions.drain(DRAIN_S)

    async def health_check(self) -> dict[str, Any]:
        """`healthy`: orders are seen, and every unfinished one is answered by the operator, with no outcome unknown and none that waits for a person."""
        age = self._mirror.age_seconds if self._running is not None else None
        unfinished = [known for known in self._mirror.all() if not known.intent.finished]
        unanswered = [known for known in unfinished if known.unanswered_since is not None and time.monotonic() - known.unanswered_since > ANSWERED_WITHIN_S]
        unknown = [known for known in unfinished if known.intent.status.state is State.UNKNOWN]
        stalled = [known for known in unfinished if known.told.stalled]
        problems = [
            *(["The kernel is not started: call start()."] if self._running is None else []),
            *([f"The API server can't be watched: {self._mirror.problem}"] if self._mirror.problem else []),
            *(["The API server has been silent for too long."] if age is not None and age > WATCH_S + WATCH_GRACE_S else []),
            *([f"The operator has not looked at {_named(unanswered)}: check that it runs, and is ready."] if unanswered else []),
            *([f"What became of {_named(unknown)} at the exchange is not known yet."] if unknown else []),
            *([f"A person is needed for {_named(stalled)}: see the message of its state."] if stalled else []),
        ]
        return {
            "healthy": not problems,
            "problems": problems,
            "started": self._running is not None,
            "watching": self._running is not None and not self._mirror.problem,
            "age_seconds": age,
            "lists": self._mirror.lists,
            "intents": len(self._mirror.all()),
            "unfinished": len(unfinished),
            "unanswered": len(unanswered),
            "outcome_unknown": len(unknown),
            "stalled": len(stalled),
            "events_waiting": self._subscriptions.waiting,
        }

    @property
    def _api(self) -> ApiClient:
        if self._running is None:
            raise ExchangeError("The kernel is not started: call start() first.")
        return self._running.api

    def _uses(self, api: ApiClient) -> bool:
        """Whether it was not stopped since."""
        return self._running is not None and self._running.api is api

    # ── Placing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def place_order(self, order: StandardOrder, metadata: dict[str, Any] | None = None) -> str:
        name = self._names.new() if order.idempotency_key is None else keyed_name(self._account, order.idempotency_key)
        intent = await self._make_durable(name, manifest(name, order, metadata, account=self._account, strategy=self._strategy))
        if order.idempotency_key is not None:
            self._check_same(intent, order)
        if self._acknowledge_timeout > 0:
            await self._verdict(name)
        return name

    async def _make_durable(self, name: str, wanted: Body) -> IntentObject:
        """Create the object under this one name, and believe nothing but an answer that it is there or that it will not be."""
        api, patience, doubt = self._api, _Patience(DURABLE_WITHIN_S), False
        while True:
            # Strict: a field that the cluster's version does not know would be dropped, and may be the one that limits the order.
            answer = await api.create(ORDER_INTENTS.path(self._namespace) + "?fieldValidation=Strict", wanted)
            if answer.ok:
                return self._learn(answer.body)
            if definite(answer) and not doubt:
                raise refusal(answer, self._namespace, name)
            # No answer, or it exists: this try or an earlier one was carried out, or an earlier run of the strategy used the same key.
            found = await self._read(name) if self._uses(api) else answer
            if isinstance(found, IntentObject):
                return found
            if definite(answer) and found.status == 404:
                raise refusal(answer, self._namespace, name)
            doubt = True
            if (gone := self._mirror.last_of(name)) is not None and wanted["spec"].get("idempotencyKey") is None:
                return gone  # it was there: another object of this name would be another order
            await self._mirror.until(name, lambda known: known is not None, patience.pause())
            if patience.exhausted or not self._uses(api):
                raise ExchangeError(
                    f"Whether the intent {name} exists could not be found out: {answer.message} Do not place the order again before "
                    f"get_order_state has said that there is no such intent.",
                    intent_id=name,
                    outcome_unknown=True,
                )

    def _check_same(self, intent: IntentObject, order: StandardOrder) -> None:
        """What was found under an idempotency key is this order, if perhaps changed since."""
        theirs, spec = intent.strategy, intent.spec
        if not self._mirror.scope.has(intent):
            raise ValidationError([f"the idempotency key is in use by strategy {theirs!r}: use another key"], intent_id=intent.name)
        if (spec.symbol, spec.side, spec.position_side, spec.type) != (order.symbol_id, order.side, order.position_side, order.type):
            other = f"{spec.side} {spec.type} {spec.symbol}"
            raise ValidationError([f"the idempotency key names another order already, {other}: use another key"], intent_id=intent.name)

    async def _verdict(self, name: str) -> None:
        """Wait for the exchange's word, and raise if it is no."""
        intent = await self._wait(name, _has_verdict)
        if intent is None:
            raise ExchangeError(f"The intent {name} was deleted before the exchange had answered.", intent_id=name)
        state, why = intent.status.state, _why(intent)
        if state is State.DENIED:
            raise ValidationError([why or "the order was denied"], intent_id=name)
        if state is State.REJECTED:
            said = next((attempt.reason for attempt in reversed(intent.status.attempts) if attempt.reason), None)
            raise ExchangeError(why or "The exchange refused the order.", intent_id=name, reason=said or why)

    async def _wait(self, name: str, enough: Callable[[IntentObject], bool]) -> IntentObject | None:
        """The intent once it is `enough`, or as it is at the acknowledge timeout; None: it was deleted before it was."""
        known = await self._mirror.until(name, lambda known: known is None or enough(known.intent), self._acknowledge_timeout)
        intent = known.intent if known is not None else self._mirror.last_of(name)
        if intent is None or enough(intent):
            return intent
        if known is None:
            return None
        if self._running is not None and isinstance(read := await self._read(name), IntentObject):
            return read  # the watch may have gone silent
        return intent

    # ── Cancelling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def cancel_order(self, intent_id: str) -> None:
        intent, _ = await self._find(intent_id)
        if intent.finished:
            return
        if intent.spec.desired_state is not DesiredState.CANCELED:
            await self._ask_to_cancel(intent_id)
        if self._acknowledge_timeout > 0:
            after = await self._wait(intent_id, lambda intent: intent.status.state in ENDED or _cancel_refused(intent))
            if after is not None and _cancel_refused(after):
                raise ExchangeError(f"{_why(after)} The operator goes on trying.", intent_id=intent_id, reason=_why(after))

    async def _ask_to_cancel(self, name: str) -> None:
        api, patience = self._api, _Patience(DURABLE_WITHIN_S)
        while True:
            answer = await api.patch(ORDER_INTENTS.path(self._namespace, name), {"spec": {"desiredState": str(DesiredState.CANCELED)}})
            if answer.ok:
                self._learn(answer.body)
                return
            if answer.status == 404:
                raise self._not_found(name)
            if definite(answer):
                found = await self._read(name)
                if isinstance(found, IntentObject) and found.finished:
                    return  # meanwhile, and its spec is frozen
                raise refusal(answer, self._namespace, name)
            await asyncio.sleep(patience.pause())
            if patience.exhausted or not self._uses(api):
                raise ExchangeError(f"Whether the cancel was taken could not be found out: {answer.message}", intent_id=name, outcome_unknown=True)

    # ── What is wanted, and what is ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def get_order_intent(self, intent_id: str) -> OrderIntent:
        intent, age = await self._find(intent_id)
        return order_intent(intent, exchange_id=self.exchange_id, age_seconds=age)

    async def get_order_state(self, intent_id: str) -> OrderState:
        intent, age = await self._find(intent_id)
        known = self._mirror.get(intent_id)
        return order_state(intent, sequence=known.told.sequence if known is not None else 0, age_seconds=age)

    async def _find(self, name: str) -> tuple[IntentObject, float]:
        """An intent of this kernel, and how old (s) what is known of it is. Raises NotFoundError."""
        _ = self._api
        if (known := self._mirror.get(name)) is not None:
            return known.intent, self._mirror.age_seconds
        if not fit_for_object(name):
            raise self._not_found(name)
        found = await self._read(name)  # perhaps made by another process just now
        if isinstance(found, Answer):
            raise self._not_found(name) if found.status == 404 else refusal(found, self._namespace, name)
        if not self._mirror.scope.has(found):
            raise NotFoundError(
                f"The intent {name} is of account {found.spec.account_ref.name!r} and strategy {found.strategy!r}: use a kernel for those.", intent_id=name
            )
        return found, 0.0

    def _not_found(self, name: str) -> NotFoundError:
        return NotFoundError(f"There is no intent {name!r} in namespace {self._namespace}.", intent_id=name)

    async def _read(self, name: str) -> IntentObject | Answer:
        """What the API server says now; the answer, if it is not the object."""
        answer = await self._api.get(ORDER_INTENTS.path(self._namespace, name))
        return self._learn(answer.body) if answer.ok else answer

    def _learn(self, raw: Body) -> IntentObject:
        known = self._mirror.learn(raw)
        return known.intent if known is not None else intent_object(raw)

    # ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def subscribe_events(self, callback: EventCallback, event_filter: EventFilter | None = None) -> str:
        return self._subscriptions.add(callback, event_filter)

    def unsubscribe_events(self, subscription_id: str) -> None:
        self._subscriptions.remove(subscription_id)

    # ── Not in this release ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def place_order_group(self, group: StandardOrderGroup, metadata: dict[str, Any] | None = None) -> list[str]:
        _not_available("place_order_group", "place each member with place_order")

    async def modify_order(self, intent_id: str, new_order: StandardOrder) -> None:
        _not_available("modify_order", "patch the OrderIntent's spec with kubectl, or cancel_order and place_order")

    async def cancel_all_orders(self, symbol_id: str | None = None) -> int:
        _not_available("cancel_all_orders", "call cancel_order for each intent id, or set tradingMode: CancelOnly on the ExchangeAccount")

    async def get_all_intents(self, symbol_id: str | None = None) -> list[OrderIntent]:
        _not_available("get_all_intents", "call get_order_intent for each intent id; subscribe before start() and a Resynced event names every one there is")

    async def get_all_orders(self, symbol_id: str | None = None) -> list[OrderState]:
        _not_available("get_all_orders", "call get_order_state for each intent id; subscribe before start() and a Resynced event tells every one there is")

    async def get_positions(self, symbol_id: str | None = None) -> list[Position]:
        _not_available("get_positions", "add up the fill events, or ask the exchange")

    async def get_account_state(self) -> AccountState:
        _not_available("get_account_state", "ask the exchange; the ExchangeAccount's status says whether it can be reached")

    async def get_symbol_metadata(self, symbol_id: str) -> SymbolMetadata:
        _not_available("get_symbol_metadata", "ask the exchange; an order that its market does not allow ends as Denied, with the rule it breaks")

    async def get_asset_metadata(self, asset_id: str) -> AssetMetadata:
        _not_available("get_asset_metadata", "ask the exchange")

    async def list_symbols(self) -> list[str]:
        _not_available("list_symbols", "read spec.symbols of the ExchangeAccount, or ask the exchange")

    async def force_reconciliation(self, intent_id: str | None = None) -> None:
        _not_available("force_reconciliation", "wait: every order is compared with the exchange each spec.resyncSeconds of its ExchangeAccount")

    async def get_reconciliation_metrics(self) -> dict[str, Any]:
        _not_available("get_reconciliation_metrics", "call health_check, or read the operator's /metrics")


@dataclass(frozen=True, slots=True)
class _Running:
    api: ApiClient
    following: asyncio.Task[None]


class _Patience:
    """For a request that is not answered: when to try again, and when to give up."""

    def __init__(self, within: float) -> None:
        self._until = time.monotonic() + within
        self._pauses = iter(RETRY_S)

    @property
    def exhausted(self) -> bool:
        return time.monotonic() >= self._until

    def pause(self) -> float:
        return next(self._pauses, RETRY_S[-1])


def _has_verdict(intent: IntentObject) -> bool:
    # A rejection's reason is written with its end, at once or as soon as it has settled.
    return intent.finished or intent.status.state not in (*NO_VERDICT, State.REJECTED)


def _why(intent: IntentObject) -> str:
    return next((condition.message for condition in intent.status.conditions if condition.type == "Ready"), "")


def _cancel_refused(intent: IntentObject) -> bool:
    return intent.answered and any(condition.reason == "CancelRefused" for condition in intent.status.conditions)


def _named(intents: list[Mirrored]) -> str:
    names = sorted(known.intent.name for known in intents)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _not_available(method: str, instead: str) -> NoReturn:
    raise NotAvailableError(f"KubernetesKernel.{method} is not in this release. Instead: {instead}.")
