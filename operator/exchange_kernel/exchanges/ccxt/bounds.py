"""How much of an answer is read at most, by the kind of request, and its JSON within those bounds. An answer over a bound counts as unreadable (rule 1).

A small document is parsed at once. A large one is cut at the ends of its entries and parsed in slices, so that no step of it takes more than a few
milliseconds. `aside.py` has the thread in which that is done.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson


class OverBounds(ValueError):
    """An answer is larger, deeper or longer than any that a venue documents. The text is stable."""


@dataclass(frozen=True, slots=True)
class Cap:
    """The bounds of one kind of answer."""

    size: int      # bytes, inflated
    values: int    # JSON values in it: an empty object takes 64 bytes of memory and two of the wire


KIB: Final = 1024
MIB: Final = 1024 * KIB

#: Ours, an order of magnitude above the largest answer seen of its kind. Binance: 1,000 orders are 0.6 MB, its spot markets some MB.
ORDER = Cap(1 * MIB, 60_000)           # of a send, a cancel, a change, the time
LOOKUP = Cap(1 * MIB, 60_000)
LIST = Cap(4 * MIB, 250_000)           # one page
MARKETS = Cap(24 * MIB, 1_200_000)
EVENT = Cap(64 * KIB, 10_000)          # one message of the private stream

#: The kinds, as the documentation names them.
CAPS = {
    "an order, a cancel, a change or the time": ORDER, "one order": LOOKUP, "a page of a list": LIST, "the markets": MARKETS, "an event of the stream": EVENT,
}

MAX_DEPTH = 32
MAX_STRING = 64 * KIB
MAX_DIGITS = 64

#: What is parsed at once: a millisecond. No text in it is longer than `MAX_STRING`.
SLICE = 64 * KIB

#: What of a large document is parsed in one step, and the pause after it: others' orders wait for a step.
PIECE = 16 * KIB
REST_S = 0.001

#: A gzip stream may inflate to so many times its size, once it is larger than `RATIO_FROM`. JSON of a venue shrinks to a twentieth at best.
MAX_RATIO = 100
RATIO_FROM = 1 * MIB

_TOKEN = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")++|[\[\]{}"]', re.DOTALL)
_DIGITS = bytes(ord("0") if byte in b"0123456789." else ord(" ") for byte in range(256))
_LONG_NUMBER = b"0" * (MAX_DIGITS + 1)
_BRACKETS = frozenset(b"[]{}")
_OPEN = {ord("["): ord("]"), ord("{"): ord("}")}


def is_large(content: bytes) -> bool:
    """Whether parsing it would hold the loop."""
    return len(content) > SLICE


def read_json(content: bytes, cap: Cap) -> Any:
    """Read an object or a list; None if it is anything else, or no JSON. Raises OverBounds."""
    if len(content) > cap.size:
        raise OverBounds("the answer is too large")
    if is_large(content):
        return _in_slices(content, cap)
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict | list):
        return None
    _count(content, cap.values)
    _check(document, content, MAX_DEPTH)
    return document


def _count(content: bytes, left: int) -> int:
    """Take the values of this text, at least, from those that are left."""
    left -= content.count(b",") + content.count(b"[") + content.count(b"{")
    if left < 0:
        raise OverBounds("the answer has too many values")
    return left


def _check(document: Any, content: bytes, depth: int) -> None:
    """Depth, digits, and names that come twice: such an object contradicts itself, and which of the two a parser keeps is chance."""
    names, level = 0, [document]
    while level:
        if (depth := depth - 1) < 0:
            raise OverBounds("the answer is too deep")
        inner: list[Any] = []
        for container in level:
            values = container
            if type(container) is dict:
                names += len(container)
                values = container.values()
            inner += [value for value in values if type(value) is dict or type(value) is list]
        level = inner
    # Without what is escaped, every second piece between quotes is a text. `content` was parsed: it is JSON.
    without = content.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in content else content
    if b"".join(without.split(b'"')[::2]).count(b":") != names:
        raise OverBounds("the answer names a field twice")
    if content.translate(_DIGITS).find(_LONG_NUMBER) >= 0:
        raise OverBounds("the answer has too long a number")


class _Spine:
    """A container that is larger than a slice, filled piece by piece."""

    def __init__(self, opened: int, bracket: int) -> None:
        self.bracket = bracket
        self.value: Any = {} if bracket == ord("{") else []
        self.cut = opened + 1          # where what is not parsed yet begins
        self.begun = False             # something of it was taken: what follows begins with a comma

    def take(self, content: bytes, end: int, depth: int, *, child: bool = False) -> None:
        """Parse what lies between the last cut and `end`. With `child`, the last value is still to come: a placeholder stands for it."""
        time.sleep(REST_S)             # the loop's turn, which would wait for the interpreter otherwise
        text = content[self.cut:end].strip()
        self.cut = end
        if self.begun and text:
            if not text.startswith(b","):
                raise ValueError("a comma is missing")
            text = text[1:].strip()
            if not text and not child:
                raise ValueError("a value is missing")
        elif self.begun and child:
            raise ValueError("a comma is missing")
        if not text and not child:
            return
        self.begun = True
        closing = b"}" if self.bracket == ord("{") else b"]"
        whole = bytes((self.bracket,)) + text + (b"null" if child else b"") + closing
        piece = orjson.loads(whole)
        _check(piece, whole, depth)
        if isinstance(self.value, list):
            self.value.extend(piece)
            return
        before = len(self.value)
        self.value.update(piece)
        if len(self.value) != before + len(piece):
            raise OverBounds("the answer names a field twice")

    def adopt(self, child: Any) -> None:
        """Put a finished container where its placeholder is: the last value."""
        if isinstance(self.value, list):
            self.value[-1] = child
        else:
            self.value[next(reversed(self.value))] = child


def _in_slices(content: bytes, cap: Cap) -> Any:
    """As `read_json`, in steps of about a millisecond of the interpreter: other threads get their turn between two of them."""
    try:
        return _sliced(content, cap)
    except OverBounds:
        raise
    except (ValueError, LookupError):
        return None


def _sliced(content: bytes, cap: Cap) -> Any:
    left = cap.values
    for start in range(0, len(content), SLICE):
        left = _count(content[start:start + SLICE], left)
    opened: list[tuple[int, int]] = []       # position and bracket of each container that is open
    spines: list[_Spine] = []                # of the outermost of them: those that are larger than a slice
    document: Any = None
    for position, token in _tokens(content):
        if document is not None:
            raise ValueError("something follows the document")
        if token in _OPEN:
            if len(opened) >= MAX_DEPTH:
                raise OverBounds("the answer is too deep")
            opened.append((position, token))
            continue
        if not opened or _OPEN[opened[-1][1]] != token:
            raise ValueError("a bracket that closes nothing")
        if position - opened[0][0] > SLICE:
            # Whatever is open is cut once it is larger than a slice, from the outside in.
            for depth in range(len(spines), len(opened)):
                where, bracket = opened[depth]
                if position - where <= SLICE:
                    break
                if spines:
                    spines[-1].take(content, where, MAX_DEPTH - depth, child=True)
                spines.append(_Spine(where, bracket))
        opened.pop()
        if len(spines) > len(opened):        # it closes the innermost of them
            spine = spines.pop()
            spine.take(content, position, MAX_DEPTH - len(opened))
            if spines:
                spines[-1].adopt(spine.value)
                spines[-1].cut = position + 1
            else:
                document = spine.value
        elif spines and len(spines) == len(opened) and position - spines[-1].cut > PIECE:
            spines[-1].take(content, position + 1, MAX_DEPTH - len(opened))
        elif not opened:
            document = orjson.loads(content[:position + 1])
    if opened or document is None or content[content.rfind(b"}" if isinstance(document, dict) else b"]") + 1:].strip():
        raise ValueError("the document has no end")
    return document


def _tokens(content: bytes) -> Iterator[tuple[int, int]]:
    """The brackets outside of texts, window by window: a step of the pattern never runs over more than one."""
    position = 0
    while position < len(content):
        end = min(position + MAX_STRING + 2, len(content))
        resumed = end
        for found in _TOKEN.finditer(content, position, end):
            start = found.start()
            byte = content[start]
            if byte in _BRACKETS:
                yield start, byte
            elif byte == ord('"') and found.end() - start == 1:      # its end is not in this window
                if start == position or end == len(content):
                    raise OverBounds("the answer has too long a text")
                resumed = start
                break
        position = resumed
