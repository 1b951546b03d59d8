"""What a request or an answer holds, wherever it holds it. The runtime half of the wire probe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from exchange_kernel.exchanges.ccxt import said
from exchange_kernel.exchanges.ccxt.unified import NotBuilt


def carries(params: Any, written: str, quantity: str, price: str | None, trigger: str | None) -> None:
    """Raises NotBuilt where ccxt dropped or bent what we said."""
    values = [str(value) for value in inside(params)]
    if written not in values:
        raise NotBuilt("ccxt would leave out our client order id")
    numbers = set(filter(None, map(said.number_in, values)))
    for name, number in (("quantity", quantity), ("price", price), ("trigger price", trigger)):
        if number is not None and Decimal(number) not in numbers:
            raise NotBuilt(f"ccxt would change the {name}: it is not on the grid that ccxt knows")


def within(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()


def inside(value: Any) -> Iterator[Any]:
    """Every value in a document, containers too."""
    yield value
    for inner in within(value):
        yield from inside(inner)
