"""The perpetual venue's REST face: who asks, and the way of a request. Source: Gate API v4, "Authentication"; faults and silence are those of the port."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson
from aiohttp import web

from exchange_kernel.exchanges.simulated.http import Answer, Ask, RestFace
from exchange_kernel.exchanges.simulated.parameters import Parameters
from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount
from exchange_kernel.exchanges.simulated.perpetual.errors import (
    PerpetualError,
    bad_body,
    bad_signature,
    expired,
    missing_header,
    no_such_endpoint,
    unknown_key,
)
from exchange_kernel.exchanges.simulated.perpetual.parameters import Said
from exchange_kernel.exchanges.simulated.perpetual.rest import endpoint
from exchange_kernel.exchanges.simulated.perpetual.venue import PerpetualVenue

#: How far a request's time may be from the venue's, in either direction.
GAP_S = 60


@dataclass(slots=True, kw_only=True)
class PerpetualAsk(Ask):
    query: str
    body: bytes
    timestamp: str | None
    signature: str | None


class PerpetualFace(RestFace):
    """The spot face's way, with other words at its stations."""

    def _asked(self, request: web.Request, body: bytes) -> PerpetualAsk:
        path, _, query = request.raw_path.partition("?")
        said = {**dict(parse_qsl(query)), **_document(body)}
        pairs = [(name, str(value)) for name, value in said.items()]
        headers = request.headers
        return PerpetualAsk(
            request.method, unquote(path), "", pairs, headers.get("KEY"), Parameters(pairs), query=query, body=body, timestamp=headers.get("Timestamp"),
            signature=headers.get("SIGN"),
        )

    async def _answer(self, ask: Ask, *, delay_ms: int) -> Answer:
        assert isinstance(ask, PerpetualAsk)
        self._count(ask)
        venue = self._exchange.perpetual
        try:
            if (found := endpoint(ask.method, ask.path)) is None:
                raise no_such_endpoint()
            one, in_path = found
            account = admitted(venue, ask) if one.signed is not None else None
            if delay_ms:
                await asyncio.sleep(delay_ms / 1000)
            said = Said({**dict(parse_qsl(ask.query)), **_said(ask.body), **in_path})
            return Answer(one.status, orjson.dumps(one.act(venue, account, said)))
        except PerpetualError as refused:
            return Answer(refused.status, orjson.dumps(refused.document()))

    def _count(self, ask: Ask) -> int:
        found = endpoint(ask.method, ask.path)
        self._exchange.requests.seen(f"{ask.method} {ask.path if found is None else found[0].template}", 1)
        return 1


def admitted(venue: PerpetualVenue, ask: PerpetualAsk) -> PerpetualAccount:
    """Whose key it is that signed this request, not long ago."""
    if (known := venue.known(_header("KEY", ask.api_key))) is None:
        raise unknown_key()
    secret, account = known
    hashed = hashlib.sha512(ask.body).hexdigest()
    timestamp = _header("Timestamp", ask.timestamp)
    payload = "\n".join((ask.method, ask.path, unquote(ask.query), hashed, timestamp))
    if not hmac.compare_digest(hmac.digest(secret, payload.encode(), "sha512").hex(), _header("SIGN", ask.signature)):
        raise bad_signature()
    if not timestamp.isdecimal() or abs(int(timestamp) - venue.clock.now_ms() / 1000) > GAP_S:
        raise expired(GAP_S)
    return account


def _header(name: str, value: str | None) -> str:
    if not value:
        raise missing_header(name)
    return value


def _said(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise bad_body() from None
    if not isinstance(document, dict):
        raise bad_body()
    return document


def _document(body: bytes) -> dict[str, Any]:
    """For faults to match: what can't be read matches no parameter."""
    try:
        return _said(body)
    except PerpetualError:
        return {}
