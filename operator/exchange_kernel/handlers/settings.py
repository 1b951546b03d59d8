"""How kopf is set up: a thin, fast edge that writes nothing and decides nothing."""

from __future__ import annotations

import gc

import kopf

from exchange_kernel.kube.client import WATCH_GRACE_S
from exchange_kernel.kube.config import Access

#: kopf's own, for its timers on ExchangeAccounts. It must differ from the orders' finalizer: kopf takes off a finalizer of its own name from every
#: object that no handler of its needs it for.
KOPF_FINALIZER = "exchange-kernel.io/timer"
WATCH_S = 20  # how long each watch lasts; it goes on from where it was, with no list between


class GenerationOnly(kopf.DiffBaseStorage):
    """Spares kopf the deep copies and diffs of whole objects at each event: no handler of ours asks what changed."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        return {"spec": {"generation": body.metadata.get("generation")}}

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing: the object is not kopf's to write."""


class NoProgress(kopf.StatusProgressStorage):
    """Keeps kopf's progress out of the object: handlers here can't be half done."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def configure(settings: kopf.OperatorSettings) -> None:
    settings.posting.enabled = False
    settings.scanning.disabled = True  # the kinds are known; no watches on CRDs and namespaces
    settings.peering.standalone = True  # the Lease decides who acts (rule 7)
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 5
    settings.queueing.error_delays = (0.2, 0.5, 1, 2, 5)
    settings.persistence.finalizer = KOPF_FINALIZER
    settings.persistence.diffbase_storage = GenerationOnly()
    settings.persistence.progress_storage = NoProgress(field="status.kopf.progress")
    settings.networking.request_timeout = 10
    # An API server that restarts is waited for; its outage must not end the process, which holds what the store does not know yet.
    settings.networking.error_backoffs = (0.05, 0.1, 0.2, 0.5, 1, 1, 2, 2, *((5,) * 720))
    # A connection that died without a word looks like a watch on which nothing happens: the server ends each soon, and silence beyond that is its death.
    settings.watching.server_timeout = WATCH_S
    settings.watching.inactivity_timeout = WATCH_S + WATCH_GRACE_S
    settings.watching.reconnect_backoff = 0.02
    settings.watching.chunk_size = 500


def register_login(registry: kopf.OperatorRegistry, cluster: Access) -> None:
    @kopf.on.login(registry=registry)
    def login(**_: object) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=cluster.server,
            ca_path=cluster.ca_path,
            token=cluster.token(),
            certificate_path=cluster.certificate_path,
            private_key_path=cluster.private_key_path,
        )


def calm_garbage_collector() -> None:
    """Full collections are most of the tail latency at load, and there is little cyclic garbage to find: what is there at start is set aside.

    The middle generation is looked through at 10,000 objects, which takes a millisecond or two: one large answer makes a million.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2000, 5, 2000)
