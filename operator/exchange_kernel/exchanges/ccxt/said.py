"""Reading what ccxt parsed: the venue's digits, or nothing. The counterpart of `parsing.py`, which reads what venues write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from exchange_kernel.core.answers import Fee
from exchange_kernel.exchanges.ccxt.parsing import MAX_TEXT, MAX_TIME_MS, Unreadable, number_of
from exchange_kernel.exchanges.ccxt.printable import printable


def step_down(document: Any, steps: Iterable[str | int]) -> Any:
    for step in steps:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            raise Unreadable(f"{step} can't be read") from None
    return document


def amount(source: Mapping[str, Any], name: str) -> Decimal | None:
    """None where the venue did not say; never from a float, and never negative."""
    value = source.get(name)
    if value is None or value == "":
        return None
    number = number_of(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if number is None or number < 0:
        raise Unreadable(f"{name} can't be read")
    return number


def text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    if not isinstance(value, str | int) or isinstance(value, bool) or not 0 < len(str(value)) <= MAX_TEXT:
        raise Unreadable(f"{name} can't be read")
    return printable(str(value))


def side(source: Mapping[str, Any]) -> str:
    side = {"buy": "Buy", "sell": "Sell"}.get(source.get("side") or "")
    if side is None:
        raise Unreadable("side can't be read")
    return side


def time_ms(source: Mapping[str, Any], name: str) -> int | None:
    value = source.get(name)
    if value is not None and (type(value) is not int or not 0 <= value <= MAX_TIME_MS):
        raise Unreadable(f"{name} can't be read")
    return value


def fee(source: Any) -> Fee | None:
    if not isinstance(source, dict) or source.get("cost") is None or not source.get("currency"):
        return None
    cost = number_of(str(source["cost"]))
    if cost is None:
        raise Unreadable("fee can't be read")
    return Fee(text(source, "currency"), cost)


def only(entries: Any) -> Any:
    """Where ccxt has a list and the venue one entry for it."""
    return entries[0] if isinstance(entries, list) and len(entries) == 1 else None


def number_in(value: str) -> Decimal | None:
    """Without its sign, which a short sale's quantity may have."""
    number = number_of(value)
    return None if number is None else number.copy_abs()


def read_clock(document: Any) -> int:
    if type(document) is not int or not 0 < document <= MAX_TIME_MS:
        raise Unreadable("the venue's time can't be read")
    return document
