"""The composition root: the one place that knows every room, and puts a process of the operator together."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import signal
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kopf
import structlog

from exchange_kernel.api.exchange_account import Endpoint
from exchange_kernel.cli.rights import Rights
from exchange_kernel.core.endpoints import Allowed, host_of
from exchange_kernel.core.identity import owner_prefix
from exchange_kernel.exchanges.ccxt import open_exchange, refuse_elsewhere
from exchange_kernel.exchanges.port import CannotOpen, Credentials, Exchange
from exchange_kernel.handlers import account_states, exchange_accounts, order_groups, order_intents, risk_limits, settings
from exchange_kernel.kube.client import NAMESPACES, SECRETS, ApiClient, Body
from exchange_kernel.kube.config import Access
from exchange_kernel.kube.events import EventRecorder
from exchange_kernel.kube.lease import LeaseOwnership, Spokesman, spokesman_name
from exchange_kernel.kube.server_time import ServerClock
from exchange_kernel.reconcile.memory import Memory
from exchange_kernel.reconcile.ports import NotConnectable
from exchange_kernel.reconcile.reconcilers import Reconcilers
from exchange_kernel.reconcile.session import AccountSession
from exchange_kernel.stores.kubernetes import KubernetesAccountStore, KubernetesIntentStore
from exchange_kernel.stores.kubernetes_account_states import KubernetesAccountStateStore
from exchange_kernel.stores.kubernetes_groups import KubernetesGroupStore
from exchange_kernel.stores.kubernetes_limits import KubernetesLimitStore
from exchange_kernel.stores.kubernetes_markets import KubernetesMarketStore
from exchange_kernel.stores.port import AccountRecord, Unavailable
from exchange_kernel.telemetry import metrics, server
from exchange_kernel.telemetry.journal import FileJournal

log = structlog.get_logger(__name__)

DEFAULT_CANCEL_RESERVE = 20  # percent, as in RateLimit
LAST_EVENTS_S = 1.0
DRAIN_S = 12.0  # what a clean stop may take, answers on their way included; the pod's grace must be longer


@dataclass(slots=True)
class Operator:
    """One process of the operator, put together."""

    cluster: Access
    namespaces: tuple[str, ...]
    lease_namespace: str
    owner: str | None
    host: str
    port: int
    ready_file: Path | None
    lease_seconds: float
    journal: int  # a descriptor to append to
    require_resolve_stamp: bool
    proxy: str | None = None  # for exchanges that are not near; an account may name its own
    allowed_endpoints: tuple[Allowed, ...] = ()  # hosts beside the venues' own and those of simulated exchanges

    async def run(self) -> int:
        # Leases have connections of their own: a renewal that queues behind statuses comes too late, and every account of a busy operator is lost with it.
        clock = ServerClock()
        async with ApiClient(self.cluster, clock=clock) as api, ApiClient(self.cluster, clock=clock) as leases:
            api.forbidden = leases.forbidden = Rights().heard
            owner = self.owner or await _installation(api)
            if owner is None:
                log.error("the kube-system namespace can't be read, which names this installation: grant get on it, or set --owner")
                return 1
            return await self._serve(api, leases, owner_prefix(owner), clock)

    async def _serve(self, api: ApiClient, leases: ApiClient, owner: str, clock: ServerClock) -> int:
        stop, stop_watching, watching = asyncio.Event(), asyncio.Event(), asyncio.Event()
        rooms = _Rooms(self, api, leases, owner, stop, clock)
        runner, port = await server.serve(self.host, self.port, rooms.not_ready)
        if self.ready_file is not None:
            self.ready_file.write_text(json.dumps({"pid": os.getpid(), "port": port}))
        edge = asyncio.create_task(
            kopf.operator(
                registry=self._registry(rooms),
                settings=self._settings(),
                clusterwide=not self.namespaces,
                namespaces=self.namespaces,
                standalone=True,
                ready_flag=watching,
                stop_flag=stop_watching,
            )
        )
        waits = [asyncio.create_task(wait) for wait in (stop.wait(), rooms.read_accounts(), self._take_signals(watching, stop), rooms.events.run())]
        try:
            await asyncio.wait({edge, waits[0]}, return_when=asyncio.FIRST_COMPLETED)
            log.info("stopping")
            async with asyncio.timeout(DRAIN_S):
                # The watch ends last: kopf, when it ends, cancels every task there is, and with them the answers we wait for.
                await rooms.close()
                stop_watching.set()
                await asyncio.wait({edge})
            if (error := edge.exception()) is not None:
                log.error("the watch ended", exc_info=error)
                return 1
        except TimeoutError:
            log.error("not everything was answered in time; it is found again at the next start")
        finally:
            for wait in waits:
                wait.cancel()
            await runner.cleanup()
        return 1 if rooms.restored else 0

    @staticmethod
    async def _take_signals(watching: asyncio.Event, stop: asyncio.Event) -> None:
        """Replace kopf's handlers, which it sets while it starts, by ours: a stop first lets what is under way finish."""
        await watching.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def _settings(self) -> kopf.OperatorSettings:
        options = kopf.OperatorSettings()
        settings.configure(options)
        settings.calm_garbage_collector()
        return options

    def _registry(self, rooms: _Rooms) -> kopf.OperatorRegistry:
        registry, those = kopf.OperatorRegistry(), rooms.reconcilers
        order_intents.register(registry, rooms.observe_intent, those.wake_intent)
        order_groups.register(registry, rooms.groups.observe, those.group_wakeups.wake)
        risk_limits.register(registry, rooms.limits.observe, those.wake_namespace)
        account_states.register(registry, rooms.observe_state)
        exchange_accounts.register(registry, rooms.accounts.observe, those.account_wakeups.wake, those.account_reconciler.sweep)
        settings.register_login(registry, self.cluster)
        return registry


class _Rooms:
    """The stores, what reconciles them, and what wakes it."""

    def __init__(self, operator: Operator, api: ApiClient, leases: ApiClient, owner: str, stop: asyncio.Event, clock: ServerClock) -> None:
        self._operator, self._api, self._leases, self._owner, self._stop = operator, api, leases, owner, stop
        self._identity = f"{os.environ.get('POD_UID') or socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._clock, self._memory, self._listed = clock, Memory(), False
        self.restored = False
        self.events = EventRecorder(api, self._identity, count=lambda outcome: metrics.EVENTS.labels(outcome=outcome).inc())
        self._journal = FileJournal(operator.journal, self._identity)
        self.intents = KubernetesIntentStore(
            api,
            self._went_back,
            changed=lambda uid: self.reconcilers.wake_intent(uid),
            gone=lambda record: self.reconcilers.intent_gone(record),
            require_stamp=operator.require_resolve_stamp,
        )
        self.accounts = KubernetesAccountStore(api, operator.namespaces, changed=lambda uid: self.reconcilers.account_wakeups.wake(uid))
        self.groups = KubernetesGroupStore(api, changed=lambda uid: self.reconcilers.group_wakeups.wake(uid))
        self.limits = KubernetesLimitStore(api, changed=lambda namespace: self.reconcilers.wake_namespace(namespace))
        self._states = KubernetesAccountStateStore(api)
        self._spokesman = Spokesman(self._lease(spokesman_name(operator.namespaces)))
        self.reconcilers = Reconcilers(
            accounts=self.accounts,
            groups=self.groups,
            intents=self.intents,
            memory=self._memory,
            clock=self._clock,
            new_session=self._new_session,
            events=self.events,
            journal=self._journal,
            speaks=self._spokesman.speaks,
        )

    def _lease(self, name: str) -> LeaseOwnership:
        term = self._operator.lease_seconds
        return LeaseOwnership(
            self._leases, namespace=self._operator.lease_namespace, name=name, identity=self._identity, duration=term, renew_every=term / 4
        )

    def _new_session(self, account: AccountRecord, changed: Callable[[], None]) -> AccountSession:
        return AccountSession(
            account,
            opener=_Opener(self._api, self._operator.allowed_endpoints, self._operator.proxy),
            ownership=self._lease(f"exchange-account-{account.uid}"),
            store=self.intents,
            accounts=self.accounts,
            memory=self._memory,
            clock=self._clock,
            owner=self._owner,
            wake=self.reconcilers.wake_intent,
            changed=changed,
            events=self.events,
            journal=self._journal,
            limits=self.limits,
            markets=KubernetesMarketStore(self._api),
            states=self._states,
            groups=self.groups,
            wake_group=self.reconcilers.group_wakeups.wake,
            rested=lambda: self.reconcilers.rested(account),
            rereads=True,
        )

    def observe_state(self, kind: str | None, raw: Body) -> None:
        if (key := self._states.observe(kind, raw)) is None or (account := self.accounts.named(*key)) is None:
            return
        if (session := self.reconcilers.account_reconciler.running_session(account.uid)) is not None:
            session.look_at_state()

    def observe_intent(self, kind: str | None, raw: Body) -> str | None:
        """A watch event. Of a member that is gone only the event itself knows the group, which shows it."""
        uid = self.intents.observe(kind, raw)
        if kind == "DELETED" and (ref := raw["spec"].get("groupRef")) is not None:
            self.reconcilers.group_wakeups.wake(ref["uid"])
        return uid

    def _went_back(self, what: str) -> None:
        log.error("the API server was restored to an earlier state: this process starts afresh", what=what)
        self.restored = True
        self._stop.set()

    async def read_accounts(self) -> None:
        """List the accounts once, so that "ready" can mean all of them."""
        while isinstance(listed := await self.accounts.list_all(), Unavailable):
            log.warning("the accounts can't be listed", reason=listed.reason)
            await asyncio.sleep(1.0)
        for account in listed:
            self.reconcilers.account_wakeups.wake(account.uid)
        self._listed = True

    def not_ready(self) -> str | None:
        """Why not, or None: ready means that every account there is has been reconciled, or says itself why it can't be."""
        if not self._listed:
            return "the accounts are not listed yet"
        return None if self.reconcilers.account_reconciler.all_ready() else "not every account is reconciled yet"

    async def close(self) -> None:
        """Begin nothing new, let what is under way be answered, and give the Leases back."""
        await self.reconcilers.close(drain=DRAIN_S / 2)
        await self._spokesman.release()
        await self.events.close(within=LAST_EVENTS_S)


async def _installation(api: ApiClient) -> str | None:
    """The kube-system namespace's UID: as old as the cluster, and gone with it."""
    answer = await api.get(NAMESPACES.path(None, "kube-system"))
    return str(answer.body["metadata"]["uid"]) if answer.ok else None


class _Opener:
    """Opens one account's exchange with the Secrets it names, in its own namespace only. What they said last is kept for as long as its session lives."""

    def __init__(self, api: ApiClient, allowed_endpoints: tuple[Allowed, ...], proxy: str | None = None) -> None:
        self._api, self._allowed_endpoints, self._proxy = api, allowed_endpoints, proxy
        self._kept: dict[str, dict[str, str]] = {}  # by the Secret's name

    async def outdated(self, account: AccountRecord) -> bool:
        for name, kept in self._kept.items():
            current = await _secret(self._api, account.namespace, name)
            if not isinstance(current, str) and current != kept:
                return True
        return False

    async def _read(self, account: AccountRecord, name: str) -> dict[str, str] | str:
        current = await _secret(self._api, account.namespace, name)
        if isinstance(current, str):
            return self._kept.get(name, current)
        self._kept[name] = current
        return current

    async def open(self, account: AccountRecord) -> Exchange | NotConnectable:
        spec, endpoint = account.spec, account.spec.endpoint or Endpoint()
        try:
            refuse_elsewhere(
                spec.exchange,
                market_type=spec.market_type.lower(),
                environment=spec.environment,
                rest=endpoint.rest,
                websocket=endpoint.websocket,
                own_ca=endpoint.ca_secret_ref is not None,
                listed=self._allowed_endpoints,
                proxy=endpoint.proxy,
            )
        except CannotOpen as error:
            return _not_connectable(error)
        secret = await self._read(account, spec.credentials_secret_ref.name)
        if isinstance(secret, str):
            return NotConnectable(
                "CredentialsValid", "SecretNotReadable", f"The Secret in spec.credentialsSecretRef can't be read: {secret}. Create it in this namespace."
            )
        ca_pem: bytes | None = None
        if endpoint.ca_secret_ref is not None:
            ca = await self._read(account, endpoint.ca_secret_ref.name)
            if isinstance(ca, str) or "ca.crt" not in ca:
                return NotConnectable(
                    "Connected", "CaNotReadable", "The Secret in spec.endpoint.caSecretRef can't be read or has no ca.crt: create it in this namespace."
                )
            ca_pem = ca["ca.crt"].encode()
        limit = spec.rate_limit
        try:
            return open_exchange(
                spec.exchange,
                market_type=spec.market_type.lower(),
                environment=spec.environment,
                credentials=Credentials(secret),
                rest=endpoint.rest,
                websocket=endpoint.websocket,
                ca_pem=ca_pem,
                requests_per_second=float(limit.requests_per_second) if limit is not None and limit.requests_per_second else None,
                cancel_reserve_percent=limit.cancel_reserve_percent if limit is not None else DEFAULT_CANCEL_RESERVE,
                proxy=self._way_to(endpoint),
            )
        except CannotOpen as error:
            return _not_connectable(error)

    def _way_to(self, endpoint: Endpoint | None) -> str | None:
        """Return the proxy for an account: its own, or else the operator's, but not to near hosts."""
        if endpoint is None:
            return self._proxy
        if endpoint.proxy is not None:
            return endpoint.proxy
        host = host_of(endpoint.rest) if endpoint.rest is not None else None
        return None if host is not None and host.near else self._proxy


def _not_connectable(error: CannotOpen) -> NotConnectable:
    return NotConnectable("CredentialsValid" if error.by_credentials else "Connected", error.reason, str(error), person=not error.by_credentials)


async def _secret(api: ApiClient, namespace: str, name: str) -> dict[str, str] | str:
    answer = await api.get(SECRETS.path(namespace, name))
    if not answer.ok:
        return "it does not exist" if answer.status == 404 else "not permitted" if answer.status == 403 else "no answer from the API server"
    try:
        return {key: base64.b64decode(value).decode() for key, value in (answer.body.get("data") or {}).items()}
    except (binascii.Error, UnicodeDecodeError):
        return "its values are not text"
