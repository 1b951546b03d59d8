"""Reading what venues write, strictly: a field is what it must be, or the entry can't be read. Nothing is guessed, defaulted or taken from a float."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any


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
    if not isinstance(value, str) or not value:
        raise Unreadable(f"{key} can't be read")
    return value


def integer(source: Mapping[str, Any], key: str) -> int:
    value = source.get(key)
    if type(value) is not int:
        raise Unreadable(f"{key} can't be read")
    return value


def time_ms(source: Mapping[str, Any], key: str) -> int:
    if (value := integer(source, key)) < 0:
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
    if not isinstance(value, str) or len(value) > 64:
        raise Unreadable(f"{key} can't be read")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Unreadable(f"{key} can't be read") from None
    if not number.is_finite():
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
