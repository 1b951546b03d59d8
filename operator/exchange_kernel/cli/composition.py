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

from exchange_kernel.core.identity import owner_prefix
from exchange_kernel.exchanges.ccxt import open_exchange
from exchange_kernel.exchanges.port import Credentials, Exchange
from exchange_kernel.handlers import exchange_accounts, order_intents, settings
from exchange_kernel.kube.client import NAMESPACES, SECRETS, ApiClient
from exchange_kernel.kube.config import Access
from exchange_kernel.kube.lease import LeaseOwnership
from exchange_kernel.reconcile.exchange_account import ExchangeAccountReconciler
from exchange_kernel.reconcile.memory import Memory
from exchange_kernel.reconcile.order_intent import OrderIntentReconciler
from exchange_kernel.reconcile.ports import NotConnectable, OpenExchange, SystemClock
from exchange_kernel.reconcile.session import AccountSession
from exchange_kernel.reconcile.wakeups import Wakeups
from exchange_kernel.stores.kubernetes import KubernetesAccountStore, KubernetesIntentStore
from exchange_kernel.stores.port import AccountRecord
from exchange_kernel.telemetry import server

log = structlog.get_logger(__name__)

DEFAULT_CANCEL_RESERVE = 20  # percent, as in RateLimit
DRAIN_S = 12.0  # what a clean stop may take, answers on their way included; the pod's grace must be longer


@dataclass(frozen=True, slots=True)
class TestHooks:
    """Ways to break the operator on purpose, so that a test can see what it is for. Never set in production; each is logged at start."""

    drop_events: bool = False  # intents' watch events are thrown away: the timer alone must do
    no_timer: bool = False  # the timers are off: the events alone must do
    without_recovery: bool = False  # every intent counts as unsent: what exactly-once would look like without rules 3 and 5


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
    hooks: TestHooks

    async def run(self) -> int:
        async with ApiClient(self.cluster) as api:
            owner = self.owner or await _installation(api)
            if owner is None:
                log.error("the kube-system namespace can't be read, which names this installation: grant get on it, or set --owner")
                return 1
            return await self._serve(api, owner_prefix(owner))

    async def _serve(self, api: ApiClient, owner: str) -> int:
        clock, memory, stop, restored = SystemClock(), Memory(), asyncio.Event(), asyncio.Event()

        def went_back(what: str) -> None:
            log.error("the API server was restored to an earlier state: this process starts afresh", what=what)
            restored.set()
            stop.set()

        intents, accounts = KubernetesIntentStore(api, went_back), KubernetesAccountStore(api)
        identity = f"{os.environ.get('POD_UID') or socket.gethostname()}-{uuid.uuid4().hex[:8]}"

        def new_session(account: AccountRecord, changed: Callable[[], None]) -> AccountSession:
            lease = LeaseOwnership(
                api,
                namespace=self.lease_namespace,
                name=f"exchange-account-{account.uid}",
                identity=identity,
                duration=self.lease_seconds,
                renew_every=self.lease_seconds / 4,
            )
            return AccountSession(
                account,
                open_exchange=_opener(api),
                ownership=lease,
                store=intents,
                memory=memory,
                clock=clock,
                owner=owner,
                wake=intent_wakeups.wake,
                changed=changed,
                without_recovery=self.hooks.without_recovery,
            )

        account_wakeups = Wakeups(lambda uid: account_reconciler.reconcile(uid))
        intent_wakeups = Wakeups(lambda uid: intent_reconciler.reconcile(uid))

        def wake_intents(account: AccountRecord) -> None:
            for record in intents.of_account(account.namespace, account.name):
                intent_wakeups.wake(record.uid)

        account_reconciler = ExchangeAccountReconciler(
            store=accounts, new_session=new_session, wake=account_wakeups.wake, wake_intents=wake_intents, wall_ms=clock.wall_ms
        )
        intent_reconciler = OrderIntentReconciler(
            store=intents,
            memory=memory,
            session_of=account_reconciler.session_of,
            wake_after=intent_wakeups.wake_after,
            wall_ms=clock.wall_ms,
        )
        registry, options, watching = kopf.OperatorRegistry(), kopf.OperatorSettings(), asyncio.Event()
        settings.configure(options)
        if self.hooks != TestHooks():
            log.warning("test hooks are set: this operator is broken on purpose", hooks=str(self.hooks))
        if not self.hooks.drop_events:
            order_intents.register(registry, intents.observe, intent_wakeups.wake)
        exchange_accounts.register(registry, accounts.observe, account_wakeups.wake, account_reconciler.sweep, timer=not self.hooks.no_timer)
        self._register_login(registry)

        @kopf.on.startup(registry=registry)
        async def take_signals(**_: object) -> None:
            # kopf has set its own by now: a stop must first close the gate for new work, and only then end the watch.
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)

        runner, port = await server.serve(
            self.host, self.port, lambda: None if watching.is_set() and account_reconciler.all_ready() else "not every account is reconciled yet"
        )
        if self.ready_file is not None:
            self.ready_file.write_text(json.dumps({"pid": os.getpid(), "port": port}))
        settings.calm_garbage_collector()
        try:
            edge = asyncio.create_task(
                kopf.operator(
                    registry=registry,
                    settings=options,
                    clusterwide=not self.namespaces,
                    namespaces=self.namespaces,
                    standalone=True,
                    ready_flag=watching,
                    stop_flag=stop,
                )
            )
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({edge, stopping}, return_when=asyncio.FIRST_COMPLETED)
            log.info("stopping")
            async with asyncio.timeout(DRAIN_S):
                await intent_wakeups.close(within=DRAIN_S / 2)
                await account_reconciler.close()
                await account_wakeups.close(within=1.0)
            stopping.cancel()
            await asyncio.wait({edge}, timeout=options.queueing.exit_timeout)
            if edge.done() and not edge.cancelled() and (error := edge.exception()) is not None:
                log.error("the watch ended", exc_info=error)
                return 1
        except TimeoutError:
            log.error("not everything was answered in time; it is found again at the next start")
        finally:
            await runner.cleanup()
        return 1 if restored.is_set() else 0

    def _register_login(self, registry: kopf.OperatorRegistry) -> None:
        cluster = self.cluster

        @kopf.on.login(registry=registry)
        def login(**_: object) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(
                server=cluster.server,
                ca_path=cluster.ca_path,
                token=cluster.token(),
                certificate_path=cluster.certificate_path,
                private_key_path=cluster.private_key_path,
            )


async def _installation(api: ApiClient) -> str | None:
    """The kube-system namespace's UID: as old as the cluster, and gone with it."""
    answer = await api.get(NAMESPACES.path(None, "kube-system"))
    return str(answer.body["metadata"]["uid"]) if answer.ok else None


def _opener(api: ApiClient) -> OpenExchange:
    async def open_account(account: AccountRecord) -> Exchange | NotConnectable:
        """Open the account's exchange with the Secrets it names, in its own namespace only."""
        spec = account.spec
        secret = await _secret(api, account.namespace, spec.credentials_secret_ref.name)
        if isinstance(secret, str):
            return NotConnectable(
                "CredentialsValid", "SecretNotReadable", f"The Secret in spec.credentialsSecretRef can't be read: {secret}. Create it in this namespace."
            )
        ca_pem: bytes | None = None
        if spec.endpoint is not None and spec.endpoint.ca_secret_ref is not None:
            ca = await _secret(api, account.namespace, spec.endpoint.ca_secret_ref.name)
            if isinstance(ca, str) or "ca.crt" not in ca:
                return NotConnectable(
                    "Connected", "CaNotReadable", "The Secret in spec.endpoint.caSecretRef can't be read or has no ca.crt: create it in this namespace."
                )
            ca_pem = ca["ca.crt"].encode()
        endpoint, limit = spec.endpoint, spec.rate_limit
        try:
            return open_exchange(
                spec.exchange,
                market_type=spec.market_type.lower(),
                environment=spec.environment,
                credentials=Credentials(secret),
                rest=endpoint.rest if endpoint is not None else None,
                websocket=endpoint.websocket if endpoint is not None else None,
                ca_pem=ca_pem,
                requests_per_second=float(limit.requests_per_second) if limit is not None and limit.requests_per_second else None,
                cancel_reserve_percent=limit.cancel_reserve_percent if limit is not None else DEFAULT_CANCEL_RESERVE,
            )
        except ValueError as error:
            return NotConnectable("Connected", "NotUsable", str(error))

    return open_account


async def _secret(api: ApiClient, namespace: str, name: str) -> dict[str, str] | str:
    answer = await api.get(SECRETS.path(namespace, name))
    if not answer.ok:
        return "it does not exist" if answer.status == 404 else "not permitted" if answer.status == 403 else "no answer from the API server"
    try:
        return {key: base64.b64decode(value).decode() for key, value in (answer.body.get("data") or {}).items()}
    except (binascii.Error, UnicodeDecodeError):
        return "its values are not text"
