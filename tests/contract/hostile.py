"""An exchange that lies: what it says to any request, as an answer on the fake venue's socket, and as documents for its readers."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.contract.fake_venue import Answer, Received, Socket, drops, says_bytes

MIB = 1024 * 1024


def bomb(inflated: int, *, of: bytes = b"[") -> bytes:
    """A gzip stream that inflates to so many bytes: one block again and again. Its end is never reached."""
    pack = zlib.compressobj(9, wbits=31)
    first = pack.compress(b"") + pack.compress(of * (MIB // len(of))) + pack.flush(zlib.Z_FULL_FLUSH)
    block = pack.compress(of * (MIB // len(of))) + pack.flush(zlib.Z_FULL_FLUSH)
    return first + block * (inflated // MIB - 1) + pack.flush()


def packed(content: bytes) -> Answer:
    return says_bytes(200, content, Content_Encoding="gzip")


def drips(every_s: float = 0.01) -> Answer:
    """A byte now and then, for ever."""

    async def answer(request: Received, socket: Socket) -> None:
        await socket.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await socket.write(b"1\r\n[\r\n")
            await asyncio.sleep(every_s)

    return answer


def pours(piece: bytes = b" " * 65536) -> Answer:
    """A body without an end, as fast as it is taken."""

    async def answer(request: Received, socket: Socket) -> None:
        await socket.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await socket.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    return answer


def heads() -> Answer:
    """Headers without an end."""

    async def answer(request: Received, socket: Socket) -> None:
        await socket.write(b"HTTP/1.1 200 OK\r\n")
        line = b"X-More: " + b"a" * 4000 + b"\r\n"
        while True:
            await socket.write(line * 16)

    return answer


def hundreds() -> Answer:
    """Answers that announce an answer, without an end."""

    async def answer(request: Received, socket: Socket) -> None:
        while True:
            await socket.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 64)

    return answer


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def named(value: bytes) -> bytes:
    """A value where venues have theirs: under every envelope's name."""
    return b'{"code":"0","retCode":0,"success":true,"status":"ok","error":[],"data":' + value + b',"result":' + value + b',"orders":' + value + b"}"


@cache
def tricks() -> Mapping[str, Answer]:
    """Every answer of this exchange that proves nothing."""
    many = b"[" + b"{}," * (8 * MIB // 3) + b"{}]"
    return {
        "a gzip bomb": packed(bomb(64 * MIB)),
        "a gzip bomb within the cap of markets": packed(bomb(30 * MIB, of=b"[],")),
        "a gzip stream without an end": packed(bomb(1 * MIB)[:-20]),
        "a gzip stream and something more": packed(gzip.compress(b"{}") + b"more"),
        "gzip in gzip": packed(gzip.compress(gzip.compress(b"{}"))),
        "a way of packing that nobody asked for": says_bytes(200, b"\x0b\x00\x80[]\x03", Content_Encoding="br"),
        "packed twice": says_bytes(200, gzip.compress(gzip.compress(b"{}")), Content_Encoding="gzip, gzip"),
        "a huge body": says_bytes(200, b" " * (40 * MIB) + b"{}"),
        "a huge number of values": says_bytes(200, many),
        "a body without an end": pours(),
        "headers without an end": heads(),
        "deep": says_bytes(200, deep(100_000)),
        "deep, and well-formed": says_bytes(200, named(deep(200))),
        "deep, within objects": says_bytes(200, b'{"data":' * 500 + b"1" + b"}" * 500),
        "invalid UTF-8": says_bytes(200, b'{"code":"0","data":"\xff\xfe"}'),
        "half a character": says_bytes(200, b'{"code":"0","data":"\\ud800"}'),
        "NaN": says_bytes(200, named(b"NaN")),
        "Infinity": says_bytes(200, named(b"[-Infinity]")),
        "1e999": says_bytes(200, named(b"[1e999]")),
        "a number of 100,000 digits": says_bytes(200, named(b"[" + b"1" * 100_000 + b"]")),
        "a text of a megabyte": says_bytes(200, named(b'["' + b"a" * (MIB // 4) + b'"]')),
        "a field twice": says_bytes(200, b'{"code":"0","code":"1","data":[],"data":[{}]}'),
        "a field twice, the second time in disguise": says_bytes(200, b'{"code":"0","c\\u006fde":"1","data":[]}'),
        "a redirect": says_bytes(307, b"", Location="http://169.254.169.254/latest/meta-data"),
        "hangs up": drops,
    }


def contradictions(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An order as a venue shows it, with values that can't be: each takes the place of every text of digits, or of every value."""
    strange: list[Any] = [
        "1e1000000000", "-1e1000000000", "1e-1000000000", "9" * 5000, "NaN", "Infinity", "-1", "0x10", "١٢", "1_000", "", "\x1b[2J\r\nforged: line", "\u202e",
        None, True, [], {}, [[]], {"a": {}}, 10**18, -(10**18), 1e308, 1.5, 2**63, "a" * 60_000,
    ]
    found = []
    for value in strange:
        found.append({name: value for name in order})
        found.append({name: value if isinstance(old, str) and old.replace(".", "").isdigit() else old for name, old in order.items()})
        found += [{**order, name: value} for name in order]
    return found


def replaced_at(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at a place in it."""
    if not path:
        return value
    step, *rest = path
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[step] = replaced_at(copy[step], tuple(rest), value)
    return copy


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    steps: list[Any] = list(document) if isinstance(document, dict) else list(range(len(document))) if isinstance(document, list) else []
    return [path, *(place for step in steps for place in places(document[step], (*path, step)))]


def as_bytes(document: Any) -> bytes:
    return json.dumps(document).encode()
