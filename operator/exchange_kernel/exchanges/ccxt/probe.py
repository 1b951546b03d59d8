"""The wire probe: does what we say reach the wire unchanged? Offline, for every exchange that ccxt ships.

ccxt drops, renames or rounds what it doesn't expect, and says nothing. So the request that its unified methods would write is made with invented
markets and credentials, and our client order id, price, quantity and side are looked for in its bytes. What a venue does with them is not known from
this; that they get there is.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from exchange_kernel.exchanges.ccxt.unified import Built, NotBuilt, built
from exchange_kernel.exchanges.ccxt.wire import STAMP, wired

ANOTHER_FIRST = "ccxt asks something else first"
ID = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
EXCHANGE_ORDER_ID = "987654321012"
SYMBOLS = {"spot": "BTC/USDT", "swap": "BTC/USDT:USDT"}
PRICE, QUANTITY = "31234.5", "12.5"
NOW_MS = 1_800_000_000_000


class Arrival(StrEnum):
    ARRIVES = "arrives"
    CHANGED = "changed"
    UNMAPPED = "passed on"
    DROPPED = "dropped"
    NOT_SUPPORTED = "not supported"
    FAILED = "failed"


MEANINGS: Mapping[Arrival, str] = {
    Arrival.ARRIVES: "it is in the request, unchanged",
    Arrival.CHANGED: "it is in the request with something around it",
    Arrival.UNMAPPED: "it is in the request under ccxt's own name, which ccxt's code for this exchange does not know: the exchange may ignore it",
    Arrival.DROPPED: "it is not in the request, and nobody says so",
    Arrival.NOT_SUPPORTED: "ccxt has no such method for this exchange",
    Arrival.FAILED: "ccxt makes no such request with invented markets and credentials, or wants to ask something else first",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What of an order reaches the wire of one exchange, by ccxt's unified methods."""

    exchange_id: str
    symbol: str
    create: Mapping[str, Arrival]    # of id, price, quantity, side
    cancel: Arrival                  # the id
    lookup: Arrival
    why: str = ""                    # of what failed

    @property
    def arrives(self) -> bool:
        """Whether an order could be sent without anything of it being lost."""
        return all(arrival is Arrival.ARRIVES for arrival in self.create.values())


def probe(exchange_id: str, market_type: str | None = None) -> Report:
    """With ccxt's defaults; of a spot market where there is one. Needs no network and no event loop, and takes some 40 ms."""
    ccxt = invented(exchange_id)
    swap = market_type == "swap" if market_type else not ccxt.has.get("spot") and ccxt.has.get("swap")
    symbol = SYMBOLS["swap" if swap else "spot"]
    token = STAMP.set(NOW_MS)
    try:
        orders: dict[str, bytes] = {}
        why = ""
        for side in ("buy", "sell"):
            orders[side], why = _written(ccxt, "create_order", symbol, "limit", side, QUANTITY, PRICE, {"clientOrderId": ID})
        if not why and find_side(orders["buy"], orders["sell"]) is Arrival.DROPPED:
            why = ANOTHER_FIRST
        create = {name: Arrival.FAILED for name in ("id", "price", "quantity", "side")} if why else {
            "id": _mapped(exchange_id, "create", find_id(orders["buy"], ID)),
            "price": find_number(orders["buy"], PRICE),
            "quantity": find_number(orders["buy"], QUANTITY),
            "side": find_side(orders["buy"], orders["sell"]),
        }
        cancel, lookup = (_by_id(ccxt, exchange_id, word, f"{word}_order", symbol) for word in ("cancel", "fetch"))
    finally:
        STAMP.reset(token)
    return Report(exchange_id, symbol, create, cancel, lookup, why)


def _by_id(ccxt: Any, exchange_id: str, word: str, method: str, symbol: str) -> Arrival:
    if not ccxt.has.get(f"{word}Order"):
        return Arrival.NOT_SUPPORTED
    by_theirs, _ = _written(ccxt, method, EXCHANGE_ORDER_ID, symbol)
    content, why = _written(ccxt, method, None, symbol, {"clientOrderId": ID})
    if why or find_id(by_theirs, EXCHANGE_ORDER_ID) is Arrival.DROPPED:      # without it, the request is not the one we asked for
        return Arrival.FAILED
    return _mapped(exchange_id, word, find_id(content, ID))


def _written(ccxt: Any, method: str, *arguments: Any) -> tuple[bytes, str]:
    """The bytes of the request, or why there are none."""
    try:
        return request_bytes(ccxt, built(ccxt, method, *arguments)), ""
    except NotBuilt as problem:
        return b"", str(problem)
    except Exception as error:
        return b"", type(error).__name__


def request_bytes(ccxt: Any, request: Built) -> bytes:
    """URL and body of the request as they would be written, one after the other."""
    signed = ccxt.sign(request.path, list(request.api), request.method, request.params)
    return f"{signed['url']}\n{signed['body'] or ''}\n{_unpacked(signed['headers'] or {})}".encode()


def _unpacked(headers: Mapping[str, Any]) -> str:
    """Headers that carry the request itself, in base64."""
    return "\n".join(str(value) for name, value in headers.items() if "payload" in name.lower())


# ── Looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def leaves(content: bytes) -> Iterator[tuple[str, str]]:
    """Every value of a request with its name: of the path, the query, a form or a JSON body, also where that is in base64 or in a string."""
    if not content:
        return
    url, body, *headers = content.decode().split("\n", 2)
    parts = urlsplit(url)
    yield from (("", unquote(part)) for part in parts.path.split("/") if part)
    yield from parse_qsl(parts.query, keep_blank_values=True)
    for text in (body, *headers):
        yield from _of_text("", text)


def _of_text(name: str, text: str) -> Iterator[tuple[str, str]]:
    for candidate in (text, _decoded(text)):
        try:
            yield from _of_json(name, orjson.loads(candidate))
        except orjson.JSONDecodeError:
            continue
        return
    if "=" in text and name == "":
        yield from parse_qsl(text, keep_blank_values=True)
    else:
        yield name, text


def _of_json(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _of_json(str(key), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _of_json(name, inner)
    elif isinstance(value, str) and value[:1] in ("{", "["):
        yield from _of_text(name, value)
    else:
        yield name, str(value)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def find_id(content: bytes, client_order_id: str) -> Arrival:
    values = list(leaves(content))
    named = {name for name, value in values if value == client_order_id}
    if named:
        return Arrival.UNMAPPED if named == {"clientOrderId"} else Arrival.ARRIVES
    return Arrival.CHANGED if any(client_order_id in value for _, value in values) else Arrival.DROPPED


def find_number(content: bytes, number: str) -> Arrival:
    """By value: `12.50` is 12.5. A short sale may write its quantity with a minus."""
    wanted = Decimal(number)
    for _, value in leaves(content):
        try:
            if abs(Decimal(value)) == wanted:
                return Arrival.ARRIVES
        except InvalidOperation:
            continue
    return Arrival.DROPPED


def find_side(buy: bytes, sell: bytes) -> Arrival:
    """By the difference that it makes: a venue may call it `BID`, 1, true or a minus. Signatures, which differ too, are longer."""
    def short(content: bytes) -> set[tuple[str, str]]:
        return {(name, value) for name, value in leaves(content) if len(value) <= 24}
    return Arrival.ARRIVES if short(buy) != short(sell) else Arrival.DROPPED


def _mapped(exchange_id: str, word: str, arrival: Arrival) -> Arrival:
    """Whether `clientOrderId` is a name that this exchange's own code knows, where it is written under that name."""
    return Arrival.ARRIVES if arrival is Arrival.UNMAPPED and _knows_the_name(exchange_id, word) else arrival


@cache
def _knows_the_name(exchange_id: str, word: str) -> bool:
    for cls in wired(exchange_id).__mro__[1:]:
        if cls.__module__.startswith("ccxt.") and ".base." not in cls.__module__:
            for name, method in vars(cls).items():
                if re.fullmatch(rf"{word}_.*order(_request)?", name) and "clientOrderId" in re.sub(r'""".*?"""', "", inspect.getsource(method), flags=re.S):
                    return True
    return False


# ── What is invented ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def invented(exchange_id: str, options: Mapping[str, Any] | None = None) -> Any:
    """An instance with one spot market and one swap, and credentials in the form this exchange's code wants."""
    ccxt = wired(exchange_id)({
        "apiKey": "key", "secret": base64.b64encode(b"the probe's secret of 32 bytes..").decode(), "password": "password", "uid": "42", "login": "login",
        "token": "token", "accountId": "42", "privateKey": "0x" + "11" * 32, "walletAddress": "0x" + "22" * 20, "enableRateLimit": False,
        **_FORMS.get(exchange_id, dict)(),
    })
    ccxt.options.update(options or {})
    ccxt.set_markets(invented_markets(ccxt))
    return ccxt


def invented_markets(ccxt: Any) -> list[Mapping[str, Any]]:
    return [_market(ccxt, swap=False), _market(ccxt, swap=True)]


def _pem() -> Mapping[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    return {"secret": key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()}


#: Where an exchange's code reads its credentials or an option in a form of its own.
_FORMS: Mapping[str, Any] = {
    "gemini": lambda: {"apiKey": "account-key"},
    "bitvavo": lambda: {"options": {"operatorId": 42}},
    "cex": lambda: {"options": {"createOrder": {"accountId": "42"}}},
    "derive": lambda: {"options": {"subaccount_id": 42}},
    "revolutx": _pem,
}


def _market(ccxt: Any, *, swap: bool) -> Mapping[str, Any]:
    name = "tBTCUSDT" if ccxt.id == "bitfinex" else "BTCUSDTPERP" if swap else "BTCUSDT"
    places = ccxt.precisionMode != 4               # ccxt counts in decimal places there, not in steps
    return {
        "id": name, "lowercaseId": name.lower(), "uppercaseId": name, "symbol": "BTC/USDT:USDT" if swap else "BTC/USDT", "base": "BTC", "quote": "USDT",
        "settle": "USDT" if swap else None, "baseId": "10000", "quoteId": "USDT", "settleId": "USDT" if swap else None, "type": "swap" if swap else "spot",
        "spot": not swap, "margin": False, "swap": swap, "future": False, "option": False, "active": True, "contract": swap, "linear": swap or None,
        "inverse": False if swap else None, "subType": "linear" if swap else None, "contractSize": "1" if swap else None, "taker": "0.001", "maker": "0.001",
        "precision": {"amount": 8, "price": 8} if places else {"amount": "0.01", "price": "0.01", "cost": "0.01"},
        "limits": {"amount": {"min": "0.01", "max": "10000"}, "price": {"min": "0.01", "max": "1000000"}, "cost": {"min": "1", "max": None}, "leverage": {}},
        "info": {"orderTypes": ["LIMIT", "MARKET"], "contractId": "1", "assetId": "1", "tick_size": "0.01", "step_size": "0.01", "enable_decimal": True},
    }
