"""A person's word on an outcome that the exchange can't tell any more: the annotation `exchange-kernel.io/resolve` of an OrderIntent.

It names one attempt by its client order id, and says what became of it. It counts only while that attempt's outcome is unknown, and only after no
request of ours can arrive any more (rules 3 and 5): what the exchange shows always counts for more. "Absent" is no proof, so what was called absent is
asked for until the intent has ended, and what is sent in its place has an id of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from exchange_kernel.api import NonNegativeDecimal
from exchange_kernel.core.money import ZERO

RESOLVED = "Told by a person in the annotation exchange-kernel.io/resolve."
#: Why an attempt stands as it does that a person had called absent.
SENT_AGAIN = "Sent again under the same id, after a person told in the annotation exchange-kernel.io/resolve that it never arrived."
CONTRADICTED = "Called Absent in the annotation exchange-kernel.io/resolve, and found at the exchange."
MAX_NAME = 200  # of a user's name that is kept

EXAMPLE = '{"clientOrderId": "…", "outcome": "Canceled", "filledQuantity": "0.5", "averagePrice": "50000"}'


class Resolution(BaseModel):
    """What a person found out. `Absent`: the order never reached the exchange; else how it ended there."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    client_order_id: str
    outcome: Literal["Absent", "Filled", "Canceled", "Expired", "Rejected"]
    filled_quantity: NonNegativeDecimal = ZERO  # in the unit of spec.quantity
    average_price: NonNegativeDecimal | None = None  # quote per base
    time: datetime | None = None  # when it was told: by it the same word, told again, is another

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


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why an annotation is no word that counts, for the conditions: stable text."""

    reason: str
    message: str


UNSTAMPED = Unusable(
    "ResolveNotStamped",
    "The annotation exchange-kernel.io/resolve counts for nothing here: it has no exchange-kernel.io/resolved-by, which the API server writes for whoever has "
    "the verb resolve on orderintents. Have one of them tell it again with `kubectl exchange resolve`.",
)


def told_by(user: str | None) -> str:
    """The reason of an attempt of which a person told the outcome: `user`, where the API server vouches for the name."""
    if not user:
        return RESOLVED
    name = "".join(letter if letter.isprintable() else "?" for letter in user[:MAX_NAME])
    return f"Told by {name} in the annotation exchange-kernel.io/resolve."


def is_told(reason: str | None) -> bool:
    """Whether this reason of an attempt is one of `told_by`."""
    return reason is not None and reason.startswith("Told by ") and reason.endswith(" in the annotation exchange-kernel.io/resolve.")


def read(text: str | None) -> Resolution | Unusable | None:
    """The annotation's content, or what is wrong with it."""
    if text is None:
        return None
    try:
        return Resolution.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        wrong = f"{where + ': ' if where else ''}{first['msg']}"
        return Unusable("ResolveNotReadable", f"The annotation exchange-kernel.io/resolve can't be read ({wrong}): write it as {EXAMPLE}.")
