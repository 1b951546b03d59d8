"""The API client of the hot path: aiohttp and orjson, a handful of verbs, answers as values. Retries are the caller's: it knows what it decided on."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from exchange_kernel.kube.config import Access
from exchange_kernel.kube.server_time import ServerClock

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
TIMEOUT_S = 5.0  # to connect, and to be answered; waiting for one of our own connections does not count
WATCH_S = 60  # how long a watch lasts unless its caller says timeoutSeconds
WATCH_GRACE_S = 5.0  # silence beyond that means that the connection is dead: the server ends a watch that lives

#: What admission says where it can't judge: an API server that has just started has yet to read its policies and their kinds.
_CANT_JUDGE = ("denied request: failed to configure ", "forbidden: not yet ready to handle request")
#: How our own policies begin where they refuse who asks, and not what is asked for: a name that they do not know as the operator's can be added.
_NOT_THE_OPERATOR = "ValidatingAdmissionPolicy 'exchange-kernel-"
_DENIED = ("denied request: ", "denied the request")

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The API server's answer. `status` 0 means there was none that could be read: the request may have been carried out."""

    status: int
    body: Body

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def unready(self) -> bool:
        """Admission can't judge yet, and refused for that alone. Nothing was carried out, and it may be taken a moment later."""
        return self.status in (403, 422) and any(words in self.message for words in _CANT_JUDGE)

    @property
    def inadmissible(self) -> bool:
        """The schema or an admission policy judged the object, and would again. A 403 by itself is a matter of rights, which can be given."""
        return not self.unready and (self.status == 422 or (self.status == 403 and any(words in self.message for words in _DENIED)))

    @property
    def forbidden_by_ours(self) -> bool:
        """Return whether a policy of ours refused who asks, as it does an operator that it does not know by its name."""
        return self.status == 403 and _NOT_THE_OPERATOR in self.message

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) or f"HTTP {self.status}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind's place in the API."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        """As it stands in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        parts = [root, *(("namespaces", namespace) if namespace else ()), self.plural, *((name,) if name else ()), *((subresource,) if subresource else ())]
        return "/".join(parts)


GROUP = "exchange-kernel.io"
ORDER_INTENTS = Resource(GROUP, "v1alpha1", "orderintents")
ORDER_GROUPS = Resource(GROUP, "v1alpha1", "ordergroups")
EXCHANGE_ACCOUNTS = Resource(GROUP, "v1alpha1", "exchangeaccounts")
ACCOUNT_STATES = Resource(GROUP, "v1alpha1", "accountstates")
MARKETS = Resource(GROUP, "v1alpha1", "markets")
RISK_LIMITS = Resource(GROUP, "v1alpha1", "risklimits")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
EVENTS = Resource("events.k8s.io", "v1", "events")
SECRETS = Resource("", "v1", "secrets")
NAMESPACES = Resource("", "v1", "namespaces")


class ApiClient:
    """One connection pool to one API server. `clock` hears the time that its answers tell."""

    def __init__(self, access: Access, *, connections: int = 64, clock: ServerClock | None = None) -> None:
        self._access, self._clock = access, clock
        self.forbidden: Callable[[str], None] = lambda message: None  # hears what a 403 says
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=access.ssl_context if access.ssl_context is not None else True, limit=connections, keepalive_timeout=60),
            # By the whole time, what queues behind a slow API server would be given up unsent and tried again, and so would the queue never end.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=TIMEOUT_S),
            headers={"Accept": "application/json", "User-Agent": "exchange-kernel"},
            raise_for_status=False,
        )

    async def __aenter__(self) -> ApiClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, **query: str) -> Answer:
        return await self._call("GET", path, query=query)

    async def create(self, path: str, body: Body) -> Answer:
        return await self._call("POST", path, body)

    async def replace(self, path: str, body: Body) -> Answer:
        return await self._call("PUT", path, body)

    async def patch(self, path: str, body: Body | list[Body], kind: str = MERGE_PATCH) -> Answer:
        return await self._call("PATCH", path, body, kind)

    async def delete(self, path: str, body: Body | None = None) -> Answer:
        return await self._call("DELETE", path, body)

    async def watch(self, path: str, **query: str) -> AsyncGenerator[Body, None]:
        """The events of a watch (`{"type", "object"}`) as they come, until the connection ends; close it with `aclosing`.

        Once the API server has agreed to it, one of type OPENED. What it says instead is one of type ERROR with its Status, as those are which it
        sends later; code 0: no answer.
        """
        query = {"timeoutSeconds": str(WATCH_S), **query, "watch": "true"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=float(query["timeoutSeconds"]) + WATCH_GRACE_S)
        token = self._access.token()
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        opened = False
        try:
            async with self._session.get(self._access.server + path, params=query, headers=headers, timeout=timeout) as response:
                if response.status != 200:
                    said = _parsed(await response.read()) or {}
                    if response.status == 403:
                        self.forbidden(str(said.get("message", "")))
                    yield {"type": "ERROR", "object": {"message": f"HTTP {response.status}", **said, "code": response.status}}
                    return
                opened = True
                yield {"type": "OPENED", "object": {}}
                rest = b""
                async for chunk in response.content.iter_any():  # its readline refuses lines as long as an object may be
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        if (event := _parsed(line)) is None:
                            return  # going on would skip it: whoever resumes gets it again
                        yield event
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if not opened:
                yield {"type": "ERROR", "object": {"code": 0, "message": f"No answer from the API server ({type(error).__name__})."}}

    async def _call(
        self, method: str, path: str, body: Body | list[Body] | None = None, content_type: str = "application/json", query: dict[str, str] | None = None
    ) -> Answer:
        headers = {"Content-Type": content_type} if body is not None else {}
        if (token := self._access.token()) is not None:
            headers["Authorization"] = f"Bearer {token}"
        asked_at = time.monotonic()
        try:
            async with self._session.request(
                method,
                self._access.server + path,
                data=orjson.dumps(body) if body is not None else None,
                headers=headers,
                params=query or None,
            ) as response:
                if self._clock is not None:
                    self._clock.heard(response.headers.get("Date"), asked_at, time.monotonic())
                raw = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Answer(0, {"message": f"No answer from the API server ({type(error).__name__})."})
        try:
            parsed = orjson.loads(raw) if raw else {}
        except orjson.JSONDecodeError:
            return Answer(0, {"message": "The API server's answer could not be read."})
        answer = Answer(response.status, parsed if isinstance(parsed, dict) else {})
        if answer.status == 403:
            self.forbidden(answer.message)
        return answer


def _parsed(raw: bytes) -> Body | None:
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None
