"""What a request says, from its query and its JSON body together, read as what it has to be. What nobody asks for is ignored, as at the venue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, TypeVar

from exchange_kernel.exchanges.simulated.perpetual.errors import invalid, missing

E = TypeVar("E", bound=Enum)

#: [FuturesOrder, text]
TEXT = re.compile(r"t-[0-9A-Za-z_.-]{1,28}", re.ASCII)
INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


class Said:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def optional(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str | int | float):
            raise invalid(name)
        return str(value)

    def text(self, name: str) -> str:
        if (value := self.optional(name)) is None:
            raise missing(name)
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.optional(name)
        if value is None:
            if default is None:
                raise missing(name)
            return default
        if INTEGER.fullmatch(value) is None:
            raise invalid(name)
        return int(value)

    def decimal(self, name: str) -> Decimal:
        try:
            number = Decimal(self.text(name))
        except InvalidOperation:
            raise invalid(name) from None
        if not number.is_finite() or number < 0:
            raise invalid(name)
        return number

    def flag(self, name: str) -> bool:
        value = self.optional(name)
        if value not in (None, "true", "false"):
            raise invalid(name)
        return value == "true"

    def word(self, name: str, words: type[E], default: E) -> E:
        value = self.optional(name)
        try:
            return default if value is None else words(value)
        except ValueError:
            raise invalid(name) from None

    def user_text(self) -> str | None:
        value = self.optional("text")
        if value is not None and TEXT.fullmatch(value) is None:
            raise invalid("text")
        return value
