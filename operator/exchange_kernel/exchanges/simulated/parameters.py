"""Reading a request's parameters as strictly as the venue does: each is what it must be, or the request is refused with its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum
from typing import TypeVar

from exchange_kernel.exchanges.simulated.errors import (
    VenueError,
    empty,
    illegal_characters,
    mandatory,
    not_required,
    repeated,
    too_precise,
    unread,
)
from exchange_kernel.exchanges.simulated.symbols import DECIMALS

E = TypeVar("E", bound=Enum)

DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
INTEGER = r"^[0-9]{1,20}$"
CLIENT_ORDER_ID = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
WORD = r"^[A-Z_]{1,40}$"

_COMPILED = {pattern: re.compile(pattern, re.ASCII) for pattern in (DECIMAL, INTEGER, CLIENT_ORDER_ID, WORD)}


class Parameters:
    """The parameters of one request. What nobody asked for by the end is refused, as at the venue."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            if name in self._values:
                raise repeated(name)
            self._values[name] = value
        self._unread = set(self._values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def peek(self, name: str) -> str | None:
        """Without counting as read."""
        return self._values.get(name)

    def optional(self, name: str, pattern: str | None = None) -> str | None:
        value = self._values.get(name)
        if value is None:
            return None
        self._unread.discard(name)
        if not value:
            raise empty(name)
        if pattern is not None and _COMPILED[pattern].fullmatch(value) is None:
            raise illegal_characters(name, pattern)
        return value

    def text(self, name: str, pattern: str | None = None) -> str:
        if (value := self.optional(name, pattern)) is None:
            raise mandatory(name)
        return value

    def decimal(self, name: str) -> Decimal:
        if (value := self.optional_decimal(name)) is None:
            raise mandatory(name)
        return value

    def optional_decimal(self, name: str) -> Decimal | None:
        if (value := self.optional(name, DECIMAL)) is None:
            return None
        if len(value.rstrip("0").partition(".")[2]) > DECIMALS and "." in value:
            raise too_precise(name)
        return Decimal(value)

    def optional_integer(self, name: str) -> int | None:
        value = self.optional(name, INTEGER)
        return None if value is None else int(value)

    def optional_word(self, name: str, words: type[E], wrong: Callable[[], VenueError]) -> E | None:
        """One of a closed set, or else the error that the venue has for it."""
        if (value := self.optional(name, WORD)) is None:
            return None
        try:
            return words(value)
        except ValueError:
            raise wrong() from None

    def word(self, name: str, words: type[E], wrong: Callable[[], VenueError]) -> E:
        if (value := self.optional_word(name, words, wrong)) is None:
            raise mandatory(name)
        return value

    def refuse(self, *names: str) -> None:
        for name in names:
            if name in self._values:
                raise not_required(name)

    def finish(self) -> None:
        """After the last read, before anything is done."""
        if self._unread:
            raise unread(len(self._values) - len(self._unread), len(self._values))
