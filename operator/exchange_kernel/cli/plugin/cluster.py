"""The cluster as a person's command sees it: by the kubeconfig and context that kubectl would use, and errors as sentences.

An ambient KUBECONFIG is what somebody who types `kubectl exchange` expects; the operator, the demo and the tests never use one (`kube/config.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from kubernetes import client as generated
from kubernetes import config as loading
from yaml import YAMLError

from exchange_kernel.kube.client import GROUP, MERGE_PATCH, Resource

Body = dict[str, Any]
Query = Mapping[str, str]  # what is empty is not sent
T = TypeVar("T")

ANSWER_WITHIN_S = 15.0
PAGE = "500"  # objects a request, as kubectl asks for them
POLL_S = 0.3
CONNECTIONS = 16  # kept open, more than are used together
WATCH_S = 300


class Failure(Exception):
    """The command can't do what was asked; the message is a sentence that says how to go on."""


class Forbidden(Failure):
    """The API server does not let this user do it."""


class NotFound(Failure):
    """There is no such object."""


class Unreachable(Failure):
    """The API server does not answer now; what was asked before may have been done."""


class Expired(Failure):
    """The version to watch from is too old: list anew."""


@dataclass(slots=True)
class Cluster:
    """An API server, and the namespace that is asked about (`everywhere`: all of them)."""

    namespace: str
    everywhere: bool
    host: str
    request: Callable[..., Any] = field(repr=False)  # urllib3's, with our identity
    served_at: datetime | None = None  # the API server's clock when it answered last

    # ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, path: str, **query: str) -> Body:
        return _parsed(self._ask("GET", path, query))

    def text(self, path: str, **query: str) -> str:
        return self._ask("GET", path, query).decode(errors="replace")

    def items(self, resource: Resource, query: Query | None = None, *, everywhere: bool | None = None, namespace: str | None = None) -> list[Body]:
        """All objects of a kind in the namespace, or in all of them, page by page."""
        return self.listed(resource, query, everywhere=everywhere, namespace=namespace)[0]

    def listed(
        self, resource: Resource, query: Query | None = None, *, everywhere: bool | None = None, namespace: str | None = None
    ) -> tuple[list[Body], str]:
        """The objects, and the version of the list, from which a watch goes on."""
        wide = self.everywhere if everywhere is None else everywhere
        path = resource.path(None if wide else namespace or self.namespace)
        found: list[Body] = []
        page = {"limit": PAGE, **(query or {})}
        while True:
            answer = _parsed(self._ask("GET", path, page))
            found += answer.get("items", [])
            about = answer.get("metadata", {})
            if not (more := about.get("continue")):
                return found, about.get("resourceVersion", "")
            page["continue"] = more

    def one(self, resource: Resource, name: str, *, namespace: str | None = None) -> Body:
        return self.get(resource.path(namespace or self.namespace, name))

    def one_everywhere(self, resource: Resource, name: str) -> Body:
        """Of a kind that has no namespaces."""
        return self.get(resource.path(None, name))

    def changes(self, resource: Resource, version: str, query: Query) -> Iterator[Body]:
        """A watch's events (`type`, `object`) from this version on, until the API server ends it or the connection is lost. Raises Expired."""
        wanted = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_S), **query}
        path = resource.path(None if self.everywhere else self.namespace)
        rest = b""
        timeout = urllib3.Timeout(connect=ANSWER_WITHIN_S, read=WATCH_S + ANSWER_WITHIN_S)
        # A connection that is lost ends the round: whoever asks again gets the rest.
        with self._open("GET", path, wanted, timeout=timeout) as response, contextlib.suppress(urllib3.exceptions.HTTPError):
            for chunk in response.stream(65_536, decode_content=True):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (_event(line) for line in lines)

    # ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def patch(self, path: str, body: Body | list[Body], kind: str = MERGE_PATCH, *, dry_run: bool = False) -> Body:
        query = {"fieldManager": "kubectl-exchange", "dryRun": "All" if dry_run else ""}
        return _parsed(self._ask("PATCH", path, query, body, kind))

    def create(self, path: str, body: Body) -> Body:
        return _parsed(self._ask("POST", path, {}, body, "application/json"))

    # ── Waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def wait(self, check: Callable[[], T | None], within: float) -> T | None:
        """The first answer of `check` that is not None, within so many seconds; an API server that is away for a while is waited for."""
        deadline = time.monotonic() + within
        found: T | None = None
        while True:
            with contextlib.suppress(Unreachable):
                found = check()
            if found is not None or time.monotonic() >= deadline:
                return found
            time.sleep(POLL_S)

    # ── On the wire ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ask(self, method: str, path: str, query: Query, body: Body | list[Body] | None = None, kind: str | None = None) -> bytes:
        with self._open(method, path, query, body, kind) as response:
            raw: bytes = response.read(decode_content=True)
            return raw

    def _open(self, method: str, path: str, query: Query, body: Body | list[Body] | None = None, kind: str | None = None,
              timeout: urllib3.Timeout | None = None) -> Any:
        url = self.host + path + (f"?{urlencode(asked)}" if (asked := {name: value for name, value in query.items() if value}) else "")
        headers = {"Content-Type": kind} if kind is not None else {}
        try:
            response = self.request(method, url, body=json.dumps(body) if body is not None else None, headers=headers,
                                    timeout=timeout or urllib3.Timeout(total=ANSWER_WITHIN_S))
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"The API server at {self.host} does not answer ({_cause(error)}): check --context, --kubeconfig and the network.") from None
        if date := response.headers.get("Date"):
            self.served_at = parsedate_to_datetime(date)
        if response.status >= 400:
            raise _refusal(response.status, response.read(decode_content=True), path)
        return response


def connect(kubeconfig: Path | None, context: str | None, namespace: str | None, all_namespaces: bool) -> Cluster:
    """The cluster that kubectl would speak to with the same flags, environment and files. Raises Failure if there is none."""
    configuration = generated.Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    named = str(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG") or ""
    files = named or str(Path("~/.kube/config").expanduser())
    try:
        if named or context or Path(files).exists():
            loading.load_kube_config(config_file=files, context=context, client_configuration=configuration)
            contexts, current = loading.list_kube_config_contexts(config_file=files)
            chosen = next((entry for entry in contexts if entry["name"] == context), current)
            home = chosen["context"].get("namespace") or "default"
        else:
            loading.load_incluster_config(client_configuration=configuration)
            home = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text().strip()
    except (loading.ConfigException, YAMLError, OSError) as error:
        where = f"{files}{f', context {context}' if context else ''}"
        raise Failure(f"There is no cluster to ask ({where}: {_first_line(error)}): name one with --kubeconfig, KUBECONFIG or --context.") from None
    pool = generated.ApiClient(configuration).rest_client.pool_manager

    def request(method: str, url: str, *, headers: dict[str, str], **options: Any) -> Any:
        identity = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")  # each time: tokens are renewed
        return pool.request(method, url, retries=False, preload_content=False, **options,
                            headers={"User-Agent": "kubectl-exchange", **headers, **({"authorization": identity} if identity else {})})

    return Cluster(namespace or home, all_namespaces, configuration.host.rstrip("/"), request)


def _parsed(raw: bytes) -> Body:
    try:
        parsed = json.loads(raw)
    except ValueError:
        raise Failure("The API server's answer could not be read: check that --context names a Kubernetes cluster.") from None
    return parsed if isinstance(parsed, dict) else {}


def _event(line: bytes) -> Body:
    event = _parsed(line)
    if event["type"] == "ERROR":
        raise _refusal(int(event["object"].get("code") or 0), json.dumps(event["object"]).encode(), "")
    return event


def _refusal(status: int, raw: bytes, path: str) -> Failure:
    try:
        said = json.loads(raw)
    except ValueError:
        said = {}
    message = (said.get("message") if isinstance(said, dict) else None) or raw.decode(errors="replace").strip()[:300] or f"HTTP {status}"
    if status == 401:
        return Forbidden(f"The API server does not know you ({message}): log in again, or use another --context.")
    if status == 403:
        return Forbidden(f"You may not do this: {message}. See `kubectl exchange doctor` for what you may do, and docs/plugin.md for the roles.")
    if status == 404 and (not isinstance(said, dict) or "name" not in said.get("details", {})) and f"/apis/{GROUP}/" in path:
        return NotFound("The kinds of exchange-kernel.io are not installed in this cluster: install the chart, or apply crds/, and see "
                        "`kubectl exchange doctor`.")
    if status == 404:
        return NotFound(f"{message[:1].upper()}{message[1:]}: check the name and -n.")
    if status == 410:
        return Expired(message)
    if status == 409:
        return Failure(f"It was changed or replaced meanwhile: {message}. Look again, and repeat the command if it is still wanted.")
    return Failure(f"The API server refuses: {message}")


def _cause(error: urllib3.exceptions.HTTPError) -> str:
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"its certificate is not trusted: {_first_line(error)}"
    return "connection refused" if "refused" in str(error).lower() else type(error).__name__


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
