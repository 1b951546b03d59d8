"""The wire: ccxt signs, aiohttp writes, and between the gate and the first byte nothing is awaited (rule 4).

ccxt's own way to the network (`fetch2`, `fetch`: throttle, blind retries, an early signature) is replaced as a whole. What is left of ccxt here is what
it is good at: where a venue's endpoints are, how requests are signed, and which answers are errors in disguise. What an answer means is `outcomes.py`'s.
"""

from __future__ import annotations

import asyncio
import importlib
import ssl
import time
import zlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import certifi
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from aiohttp.helpers import set_exception
from yarl import URL

from exchange_kernel.exchanges.ccxt.aside import aside, at_home
from exchange_kernel.exchanges.ccxt.bounds import EVENT, MARKETS, MAX_RATIO, ORDER, RATIO_FROM, SLICE, Cap, OverBounds, read_json
from exchange_kernel.exchanges.ccxt.share import Share
from exchange_kernel.exchanges.port import Clearance, Closed

TIMEOUT_S = 10.0      # as long as Binance waits for its own engine (rest-api.md, "General API Information")


#: Of an answer's text, what ccxt looks for its errors in.
ERROR_TEXT = 16 * 1024

#: Characters of a number that ccxt computes with, and digits of a step: its own products and quotients stay below four times as many.
MAX_NUMBER, MAX_PRECISION = 128, 40

#: How many requests one loading of markets may take. ccxt goes on for as long as the venue says that there is another page.
MAX_REQUESTS = 50


class ShutGate(Exception):
    """The gate was shut at the wire: nothing was written."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, as it was."""

    status: int
    document: Any                  # a dict or a list; None if it was anything else
    headers: Mapping[str, str] = field(default_factory=dict)
    disowned: bool = False         # ccxt knows this answer for an error, whatever its status


@dataclass(slots=True, eq=False)
class WireCall:
    """One request on its way. `written` is exact: it is set in the statement before the bytes are handed to the transport, and nowhere else."""

    clearance: Clearance | None                           # None: a public call, which carries no time
    stamped: Callable[[], Any] | None = None              # the request's parameters as of the stamp, where they hold a time
    headers: Callable[[int], Mapping[str, str]] | None = None    # unsigned headers that hold the stamp
    cap: Cap = ORDER                                      # what is read of its answer at most
    share: Share = field(default_factory=Share)           # the account's, of which a large answer takes
    many: bool = False                                    # several public requests, each a call of its own
    requests: int = 0                                     # those made of them, and the bytes that they brought
    read: int = 0
    sign: Callable[[], Mapping[str, Any]] | None = None   # ccxt's signature of this request, with the stamp of the moment
    stamp: int = 0
    abandoned: bool = False                               # its caller is gone: it must not be written any more
    shut: Closed | None = None                            # why the gate let nothing through
    written: bool = False
    written_at: float = 0.0                               # monotonic, s
    answer: Answer | None = None

    def signed_now(self) -> Mapping[str, Any] | None:
        """The request, stamped and signed at this moment; None if it needs no signature."""
        if self.clearance is None or self.sign is None:
            return None
        stamp = self.clearance.stamp()
        if isinstance(stamp, Closed):
            raise self._shut_by(stamp)
        self.stamp = stamp
        token = STAMP.set(stamp)
        try:
            signed = self.sign()
        finally:
            STAMP.reset(token)
        return signed if self.headers is None else {**signed, "headers": {**(signed["headers"] or {}), **self.headers(stamp)}}

    @property
    def bound(self) -> Cap:
        """What is read of the answer now: nothing large once the account's share is used up."""
        return self.cap if not self.share.used_up_s else replace(self.cap, size=min(self.cap.size, SLICE))

    def pass_gate(self) -> None:
        """The last statement before the first byte."""
        if self.written:
            raise RuntimeError("a request is written once")      # no hidden resend gets past here
        if self.abandoned:
            raise self._shut_by(Closed("the request was withdrawn before it was written"))
        if self.clearance is not None and (closed := self.clearance.check(self.stamp)) is not None:
            raise self._shut_by(closed)
        self.written_at = time.monotonic()
        self.written = True

    def _shut_by(self, closed: Closed) -> ShutGate:
        self.shut = closed
        return ShutGate(closed.reason)


#: The call this task makes, if it makes one. Context and not instance state: many calls are under way at once.
CALL: ContextVar[WireCall | None] = ContextVar("CALL", default=None)

#: The venue's time (ms) to sign with. 0 = not stamped yet, which every venue refuses.
STAMP: ContextVar[int] = ContextVar("STAMP", default=0)


class CannotSign(Exception):
    """ccxt makes no signature of the account's credentials."""


class WireRequest(aiohttp.ClientRequest):
    """Signs once the connection stands, so that no stamp grows old while it is made, and asks the gate at the last moment."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        call = CALL.get()
        if call is None:                       # the handshake of a stream
            return await super().send(conn)
        if (signed := call.signed_now()) is not None:
            url = URL(signed["url"], encoded=True)
            if url.origin() != self.url.origin():
                raise RuntimeError("a request is written to the host it was connected to")
            self.url = self.original_url = url
            self.headers.update(_with_values(signed["headers"]))
            if signed["body"] is not None:
                self._update_body(signed["body"].encode())
        protocol = conn.protocol
        if protocol is None or protocol.transport is None or protocol.transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection is closing")
        if not self._body and not protocol.writing_paused:
            call.pass_gate()                   # without a body, aiohttp writes within send
        return await super().send(conn)

    async def write_bytes(self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None) -> None:
        # With a body, aiohttp holds the headers back and writes both from here; on Python 3.11 in a task of its own.
        if (call := CALL.get()) is not None:
            try:
                call.pass_gate()
            except Exception as shut:
                if conn.protocol is not None:
                    set_exception(conn.protocol, shut)           # wakes who waits for the answer, and closes the connection
                return
        await super().write_bytes(writer, conn, content_length)


class WireResponse(aiohttp.ClientResponse):
    """Refuses a redirect of a stream's handshake, which aiohttp would follow to any host. `fetch` has a request's own."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        response = await super().start(connection)
        if CALL.get() is None and 300 <= self.status < 400:
            raise aiohttp.ClientConnectionError("the venue redirects the stream")
        return response


def open_session(ca_pem: bytes | None, proxy: str | None = None) -> aiohttp.ClientSession:
    """Open the account's HTTP session: no resend, no cookies, no proxy but the one named.

    It trusts the account's own CA where that has one.
    """
    trust = ssl.create_default_context(cadata=ca_pem.decode()) if ca_pem else _public_trust()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust), request_class=WireRequest, response_class=WireResponse, cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "exchange-kernel", "Accept-Encoding": "gzip"}, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=False, proxy=proxy,
        auto_decompress=False,                 # it inflates without a bound: `_inflated` does not
    )
    session._retry_connection = False          # aiohttp repeats GET, PUT and DELETE on a dropped connection: cancels would go out twice
    return session


@cache
def _public_trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())     # a slim image has no CAs of its own


class _Body:
    """What was read so far, in pieces of a slice: a growing whole would be copied again and again, for ten milliseconds in the end."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._last = bytearray()
        self.size = 0

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._last += chunk
        if len(self._last) >= SLICE:
            self._pieces.append(bytes(self._last))
            self._last.clear()

    def joined(self) -> bytes:
        """The whole, and the pieces are let go. Other threads run meanwhile if it is large."""
        pieces, self._pieces = [*self._pieces, bytes(self._last)], []
        return b"".join(pieces)


async def _body(response: aiohttp.ClientResponse, cap: Cap) -> _Body:
    """The body, inflated. Raises OverBounds once it is larger than it may be, or packed in a way that we did not ask for."""
    packed = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packed == "identity":
        return await _read(response, cap)
    if packed != "gzip":
        raise OverBounds("the answer is packed in a way that was not asked for")
    return await _inflated(response, cap)


async def _read(response: aiohttp.ClientResponse, cap: Cap) -> _Body:
    body = _Body()
    async for chunk in response.content.iter_any():
        body.add(chunk)
        if body.size > cap.size:
            raise OverBounds("the answer is too large")
    return body


async def _inflated(response: aiohttp.ClientResponse, cap: Cap) -> _Body:
    """In steps of a slice: others get their turn between two of them, and no more is held than the bound."""
    inflate, body, received = zlib.decompressobj(wbits=31), _Body(), 0
    try:
        async for chunk in response.content.iter_any():
            received += len(chunk)
            while chunk and not inflate.eof:
                body.add(inflate.decompress(chunk, SLICE))
                chunk = inflate.unconsumed_tail
                if body.size > cap.size or body.size > max(RATIO_FROM, received * MAX_RATIO):
                    raise OverBounds("the answer is too large")
                await asyncio.sleep(0)
            if inflate.unused_data or (chunk and inflate.eof):
                raise OverBounds("something follows the packed answer")
        body.add(inflate.flush())
    except zlib.error:
        raise OverBounds("the answer can't be unpacked") from None
    if not inflate.eof or body.size > cap.size:
        raise OverBounds("the answer can't be unpacked")
    return body


async def document_in(body: _Body, cap: Cap, share: Share) -> tuple[bytes, Any]:
    """The head of a body, and its document: objects and lists only, for a bare string or number is no venue's answer. Raises OverBounds."""
    return await aside(share, _document_in, body, cap) if body.size > SLICE else _document_in(body, cap)


def _document_in(body: _Body, cap: Cap) -> tuple[bytes, Any]:
    content = body.joined()
    return content[:ERROR_TEXT], read_json(content, cap)


def json_or_none(content: bytes | str) -> Any:
    """As `document_in`, of a message of the stream; None if it is no such document, or over a bound."""
    try:
        return read_json(content.encode("utf-8", "replace") if isinstance(content, str) else content, EVENT)
    except OverBounds:
        return None


#: What ccxt's own code is run for while it is not at the wire: to see the request it would make, or to read an answer (`unified.py`).
SCRIPT: ContextVar[Callable[[str, Any, str, Any, Any], Any] | None] = ContextVar("SCRIPT", default=None)


@cache
def wired(ccxt_id: str) -> Any:
    """ccxt's class for a venue, with its way to the network replaced."""
    pro, rest = importlib.import_module("ccxt.pro"), importlib.import_module("ccxt.async_support")    # half a second and 100 MB: where an exchange is opened
    base: Any = getattr(pro, ccxt_id, None) or getattr(rest, ccxt_id)
    _bound_precise()

    class Wired(base):  # type: ignore[misc]
        number = str                           # what ccxt parses keeps the venue's digits
        http: aiohttp.ClientSession            # the adapter's, which closes it
        increasing_nonce = False
        last_nonce = 0
        without_headers: tuple[str, ...] = ()  # unsigned ones, with which ccxt names itself as the broker
        sandbox_headers: Mapping[str, str] = {}        # what says to the venue that a request is none of live trading

        def __init__(self, config: Mapping[str, Any]) -> None:
            super().__init__(config)
            self.number_to_string = _bounded(importlib.import_module("ccxt.base.decimal_to_precision").number_to_string)
            self.addresses: dict[tuple[str, ...], str] = {}      # where each set of endpoints lives

        def milliseconds(self) -> int:
            return STAMP.get()

        def seconds(self) -> int:
            return STAMP.get() // 1000

        def microseconds(self) -> int:
            return STAMP.get() * 1000

        def nonce(self) -> int:
            """The stamp. Where the venue wants each request's number to be greater than the last one's, the next free one."""
            if self.increasing_nonce and STAMP.get():
                self.last_nonce = max(STAMP.get(), self.last_nonce + 1)
                return self.last_nonce
            return STAMP.get()

        def sign(self, *arguments: Any, **named: Any) -> Any:
            signed = super().sign(*arguments, **named)
            if not self.without_headers and not self.sandbox_headers:
                return signed
            kept = {name: value for name, value in (signed["headers"] or {}).items() if name not in self.without_headers}
            return {**signed, "headers": {**kept, **self.sandbox_headers}}

        def safe_order(self, order: Any, market: Any = None) -> Any:
            """What the exchange said, and nothing that ccxt would add: it makes up what is filled, and what it cost."""
            return order

        def safe_trade(self, trade: Any, market: Any = None) -> Any:
            return trade

        def parse_orders(self, orders: Any, market: Any = None, since: Any = None, limit: Any = None, params: Any = None) -> Any:
            """Entry by entry: one that ccxt can't read is handed on as it came, and takes no other with it."""
            named = [{"id": name, **order} for name, order in orders.items()] if isinstance(orders, dict) else orders or []
            read, unread = [], []
            for order in named:
                try:
                    read += super().parse_orders([order], market, since, limit, params or {})
                except Exception as problem:       # whatever the interpreter makes of what ccxt did not expect
                    unread.append({"unread": type(problem).__name__, "info": order})
            return self.filter_by_limit(self.sort_by(read, "timestamp"), limit) + unread

        async def load_markets(self, reload: bool = False, params: Any = None) -> Any:
            """Those the adapter loaded: ccxt's own way makes a task of it even where there is nothing to wait for."""
            return self.markets if self.markets and not reload else await super().load_markets(reload, params or {})

        async def fetch2(self, path: str, api: Any = "public", method: str = "GET", params: Any = None, config: Any = None) -> Any:
            """ccxt's throttle and retries are not here: the budget stands in front, and what is sent twice is not ours to send."""
            api, params = [api] if isinstance(api, str) else api, params or {}
            if (script := SCRIPT.get()) is not None:
                return script(path, api, method, params, config or {})
            call, endpoints = _call(), tuple(api)
            if call.many:
                return await at_home(self._one_of_many(call, path, api, method, params))
            call.sign = lambda: self._signed(path, api, method, copied(params) if call.stamped is None else call.stamped())
            if call.clearance is not None and (address := self.addresses.get(endpoints)) is not None:
                return await self.fetch(address, method)         # to connect to; the request itself is made at the wire
            made = call.sign()
            self.addresses[endpoints] = str(URL(made["url"], encoded=True).origin())
            return await self.fetch(made["url"], made["method"], made["headers"], made["body"])

        def _signed(self, path: str, api: list[str], method: str, params: Any) -> Any:
            """Return the request as ccxt signs it. An error may hold a key: its kind alone is told."""
            try:
                return self.sign(path, api, method, params)
            except Exception as error:
                raise CannotSign(type(error).__name__) from None

        async def _one_of_many(self, load: WireCall, path: str, api: list[str], method: str, params: Any) -> Any:
            load.requests += 1
            if load.requests > MAX_REQUESTS:
                raise OverBounds("the list of markets has no end")
            one = WireCall(None, cap=Cap(MARKETS.size - load.read, MARKETS.values), share=load.share)
            token = CALL.set(one)
            try:
                return await self.fetch2(path, api, method, params)
            finally:
                load.read += one.read
                CALL.reset(token)

        def parse_precision(self, precision: str) -> Any:
            """ccxt writes a zero for each digit."""
            if precision is not None and abs(int(precision)) > MAX_PRECISION:
                raise OverBounds("a precision is too large")
            return super().parse_precision(precision)

        def integer_precision_to_amount(self, precision: Any) -> Any:
            if precision is not None and abs(float(precision)) > MAX_PRECISION:
                raise OverBounds("a precision is too large")
            return super().integer_precision_to_amount(precision)

        async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
            call = _call()
            data = None if body is None else body.encode()
            # A redirect is an answer: its next hop would be a second request, and its refusal would look like "never sent".
            async with self.http.request(method, URL(url, encoded=True), headers=_with_values(headers), data=data, allow_redirects=False) as response:
                call.answer = Answer(response.status, None, response.headers)
                try:
                    found = await _body(response, call.bound)
                except OverBounds:
                    response.close()           # nothing more of it is read
                    raise
                except BaseException:
                    call.answer = None         # cut short: there is no answer
                    raise
            call.read = found.size
            head, document = await document_in(found, call.cap, call.share)
            call.answer = Answer(response.status, document, response.headers)
            address, reason = url.partition("?")[0], response.reason or ""
            text = head.decode("utf-8", "replace")
            self.handle_errors(response.status, reason, address, method, response.headers, text, document, headers, body)
            self.handle_http_status_code(response.status, reason, address, method, text)
            return document

    return Wired


def _bounded(number_to_string: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """ccxt's, which writes out every zero of "1e1000000000"."""
    def bounded(number: Any) -> Any:
        if isinstance(number, str) and (len(number) > MAX_NUMBER or abs(Decimal(number).adjusted()) > MAX_NUMBER):
            raise OverBounds("a number is too long")
        return number_to_string(number)

    return bounded


@cache
def _bound_precise() -> None:
    """Bound ccxt's own arithmetic, which writes "1e1000000000" out before it adds to it."""
    precise = importlib.import_module("ccxt.base.precise").Precise
    plain_init = precise.__init__

    def bounded(self: Any, number: Any, decimals: Any = None) -> None:
        if decimals is None and len(number) > MAX_NUMBER:
            raise OverBounds("a number is too long")
        plain_init(self, number, decimals)
        if abs(self.decimals) > 4 * MAX_NUMBER:
            raise OverBounds("a number is too long")

    precise.__init__ = bounded


def _with_values(headers: Mapping[str, str | None] | None) -> Mapping[str, str]:
    """ccxt leaves a header without a value where an option is empty: such as the code of its broker."""
    return {name: value for name, value in (headers or {}).items() if value is not None}


def copied(params: Any) -> Any:
    """A list of parameters is a batch."""
    return dict(params) if isinstance(params, dict) else [dict(one) for one in params]


def _call() -> WireCall:
    if (call := CALL.get()) is None:
        raise RuntimeError("ccxt sends nothing by itself: only the adapter's calls reach the network")
    return call


def rebase(urls: Any, rest: str | None, websocket: str | None) -> Any:
    """A venue's addresses with other bases in front of its own paths; whatever is not rebased is left where the venue has it."""
    if isinstance(urls, dict):
        return {name: rebase(url, rest, websocket) for name, url in urls.items()}
    if not isinstance(urls, str):
        return urls
    base = websocket if urlsplit(urls).scheme in ("ws", "wss") else rest
    return urls if base is None else base.rstrip("/") + urlsplit(urls).path
