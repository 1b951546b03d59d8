"""A person's word on an outcome that the exchange can't tell any more: the annotation `exchange-kernel.io/resolve` of an OrderIntent.

It names one attempt by its client order id, and says what became of it. It counts only while that attempt's outcome is unknown, and only after no
request of ours can arrive any more (rules 3 and 5): what the exchange shows always counts for more.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from exchange_kernel.api import NonNegativeDecimal
from exchange_kernel.core.money import ZERO

EXAMPLE = '{"clientOrderId": "…", "outcome": "Canceled", "filledQuantity": "0.5", "averagePrice": "50000"}'


class Resolution(BaseModel):
    """What a person found out. `Absent`: the order never reached the exchange; else how it ended there."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    client_order_id: str
    outcome: Literal["Absent", "Filled", "Canceled", "Expired", "Rejected"]
    filled_quantity: NonNegativeDecimal = ZERO  # in the unit of spec.quantity
    average_price: NonNegativeDecimal | None = None  # quote per base

    @model_validator(mode="after")
    def _adds_up(self) -> Resolution:
        if self.filled_quantity > 0 and (self.average_price is None or self.outcome == "Absent"):
            raise ValueError("filledQuantity needs averagePrice, and an outcome other than Absent")
        if self.outcome == "Filled" and self.filled_quantity == 0:
            raise ValueError("outcome Filled needs filledQuantity and averagePrice")
        return self

    @property
    def average(self) -> Decimal:
        return self.average_price or ZERO


def read(text: str | None) -> Resolution | str | None:
    """The annotation's content, or what is wrong with it (a stable sentence)."""
    if text is None:
        return None
    try:
        return Resolution.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"The annotation exchange-kernel.io/resolve can't be read ({where + ': ' if where else ''}{first['msg']}): write it as {EXAMPLE}."
