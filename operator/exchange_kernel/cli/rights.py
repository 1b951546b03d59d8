"""Rights that the operator lacks: counted each time, and told now and then with what to do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import structlog

from exchange_kernel.telemetry import metrics

log = structlog.get_logger(__name__)

TOLD_EACH_S = 300.0  # one line each so often about the same right in the same namespace
_LACKS = re.compile(r'User "(?P<user>[^"]+)" cannot (?P<verb>[a-z]+) resource "(?P<resource>[^"]+)"(?:.* in the namespace "(?P<namespace>[^"]+)")?')


class Rights:
    """The rights that one process was told it lacks."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told: dict[tuple[str, str, str | None], float] = {}

    def heard(self, message: str) -> None:
        """Take note of a 403. An admission policy's is about an object, and does not count."""
        if (lack := _LACKS.search(message)) is None:
            return
        verb, resource, namespace = lack["verb"], lack["resource"], lack["namespace"]
        metrics.FORBIDDEN.labels(verb, resource).inc()
        now, key = self._monotonic(), (verb, resource, namespace)
        if now - self._told.get(key, -TOLD_EACH_S) < TOLD_EACH_S:
            return
        self._told[key] = now
        where = f" -n {namespace}" if namespace is not None else ""
        log.error(
            "a right is missing: what needs it is tried until it is given", verb=verb, resource=resource, namespace=namespace, user=lack["user"],
            check=f"kubectl auth can-i {verb} {resource} --as={lack['user']}{where}",
            todo="bind the operator's ClusterRole to this user again; where the namespace is being deleted, by a ClusterRoleBinding",
        )
