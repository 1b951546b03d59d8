"""Reading what venues write, strictly: a field is what it must be, or the entry can't be read. Nothing is guessed, defaulted or taken from a float."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, ParamSpec, TypeVar

from exchange_kernel.exchanges.ccxt.bounds import MAX_DIGITS
from exchange_kernel.exchanges.ccxt.printable import printable


class Unreadable(ValueError):
    """An answer, or an entry of one, is not what the venue documents. The text is stable."""


class UnknownMarket(Unreadable):
    """An entry names a market that the loaded list doesn't have: perhaps it is newer than the list, or not one of the account's kind."""

    def __init__(self, name: object) -> None:
        super().__init__("the market is not among those loaded")
        self.name = str(name)


class GoesOn(Unreadable):
    """A list is longer than what of it was asked for. What was read of it counts."""

    def __init__(self) -> None:
        super().__init__("the list may go on")


#: The bounds of what we keep: a text of a venue is in a status, a number is written in 40 characters there, and a time is shown as a date.
MAX_TEXT = 128
MAX_TIME_MS = 7_258_118_400_000                # the year 2200
LEAST, GREATEST = -40, 30                      # powers of ten

P = ParamSpec("P")
T = TypeVar("T")


def strictly(read: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Read what a venue wrote, or raise Unreadable, whatever the interpreter makes of it: nothing that a venue writes is our bug."""
    try:
        return read(*arguments, **named)
    except Unreadable:
        raise
    except Exception as problem:
        raise Unreadable(f"it can't be read ({type(problem).__name__})") from None


def number_of(value: str | int) -> Decimal | None:
    """A finite number that can be kept and written out; None if it is none."""
    if isinstance(value, str) and (len(value) > MAX_DIGITS or not value.isascii() or "_" in value):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and LEAST <= number.adjusted() <= GREATEST else None


def record(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable("an object was expected")
    return value


def entries(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable("a list was expected")
    return value


def text(source: Mapping[str, Any], key: str) -> str:
    value = source.get(key)
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT:
        raise Unreadable(f"{key} can't be read")
    return printable(value)


def integer(source: Mapping[str, Any], key: str) -> int:
    value = source.get(key)
    if type(value) is not int:
        raise Unreadable(f"{key} can't be read")
    return value


def time_ms(source: Mapping[str, Any], key: str) -> int:
    if not 0 <= (value := integer(source, key)) <= MAX_TIME_MS:
        raise Unreadable(f"{key} can't be read")
    return value


def identifier(source: Mapping[str, Any], key: str) -> str:
    """A venue's number for something, as the text we keep it as; negative stands for none."""
    if (value := integer(source, key)) < 0:
        raise Unreadable(f"{key} can't be read")
    return str(value)


def decimal(source: Mapping[str, Any], key: str) -> Decimal:
    """Money is a string of digits; a JSON number has been through somebody's float."""
    value = source.get(key)
    number = number_of(value) if isinstance(value, str) else None
    if number is None:
        raise Unreadable(f"{key} can't be read")
    return number


def amount(source: Mapping[str, Any], key: str) -> Decimal:
    """A decimal that is not negative."""
    if (number := decimal(source, key)) < 0:
        raise Unreadable(f"{key} can't be read")
    return number


def positive(source: Mapping[str, Any], key: str) -> Decimal:
    if (number := decimal(source, key)) <= 0:
        raise Unreadable(f"{key} can't be read")
    return number


def positive_or_none(source: Mapping[str, Any], key: str) -> Decimal | None:
    """Where a venue writes zero, or nothing, for "none"."""
    if source.get(key) is None:
        return None
    return amount(source, key) or None


def word(source: Mapping[str, Any], key: str, words: Mapping[str, str]) -> str:
    """One of a closed set of the venue's words, as ours."""
    value = source.get(key)
    if not isinstance(value, str) or value not in words:
        raise Unreadable(f"{key} can't be read")
    return words[value]
