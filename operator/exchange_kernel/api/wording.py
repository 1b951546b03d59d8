"""Sentences that refuse texts of a wrong form, in the CRD and in Python.

In a CRD they stand in place of a `pattern`, whose refusal is a raw regular expression. Each form says how it is
written rightly; where the right spelling follows from what was written, it is offered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

#: Quote assets by which a symbol without a slash is taken apart; the longest that fits.
QUOTES = ("USDT", "USDC", "USD", "EUR", "BTC", "ETH")

_QUOTE = f"({'|'.join(QUOTES)})$"


@dataclass(frozen=True, slots=True)
class Form:
    """A wrong spelling, its sentence, and the right spelling where that follows.

    `matches` is a regular expression in the part of RE2 and Python that both read. `offer` is CEL for the right spelling, `offered` the same in Python.
    """

    matches: str
    sentence: str
    offer: str | None = None
    offered: Callable[[str], str] | None = None

    def say(self, text: str) -> str:
        """Return the sentence about this text."""
        return self.sentence if self.offered is None else f"{self.sentence}: {self.offered(text)} instead of {text}"

    def rule(self) -> dict[str, str]:
        """Return the CRD's rule for a text field."""
        rule = {"rule": f"!self.matches({_text(self.matches)})", "message": self.sentence}
        if self.offer is not None:
            rule["messageExpression"] = f"{_text(self.sentence)} + ': ' + {self.offer} + ' instead of ' + self"
        return rule


@dataclass(frozen=True, slots=True)
class Wording:
    """The form of a field: what is taken, known wrong spellings, and the sentence for others."""

    pattern: str
    sentence: str
    forms: Sequence[Form] = ()
    also: str | None = None  # CEL that must hold too

    def problem(self, text: str) -> str | None:
        """Return what is wrong with the text, as a sentence; None if it is taken."""
        if re.search(self.pattern.removesuffix("$") + r"\Z", text) is not None:
            return None
        return next((form.say(text) for form in self.forms if re.search(form.matches, text) is not None), self.sentence)

    def rules(self) -> list[dict[str, str]]:
        """Return the CRD's rules, of which a wrong text breaks one."""
        known = "".join(f"self.matches({_text(form.matches)}) || " for form in self.forms)
        taken = f"self.matches({_text(self.pattern)})" if self.also is None else f"(self.matches({_text(self.pattern)}) && {self.also})"
        return [*(form.rule() for form in self.forms), {"rule": known + taken, "message": self.sentence}]


def _text(value: str) -> str:
    """Return a CEL text."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _decimal(pattern: str, sentence: str) -> Wording:
    return Wording(pattern, sentence, (
        Form("^-?[0-9]*[.]?[0-9]*[eE][-+]?[0-9]+$", "write it without an exponent, such as 0.01 instead of 1e-2"),
        Form("^[.][0-9]+$", "write a zero before the point", "'0' + self", lambda text: f"0{text}"),
    ))


#: A time that names its zone, as RFC 3339 writes it.
_CLOCK = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?"
TIME = _CLOCK + "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
#: A market, as ccxt writes it.
SYMBOL = "^[^/: \\t\\r\\n]+/[^/: \\t\\r\\n]+(:[^/: \\t\\r\\n]+)?$"
#: Plain digits: no exponent, no leading zeros, no `.5`. Classes instead of backslashes, which YAML and CEL would each want escaped.
POSITIVE = "^([1-9][0-9]*([.][0-9]+)?|0[.][0-9]*[1-9][0-9]*)$"
NON_NEGATIVE = "^(0|[1-9][0-9]*)([.][0-9]+)?$"
SIGNED = "^-?(0|[1-9][0-9]*)([.][0-9]+)?$"

SYMBOLS = Wording(SYMBOL, "write the market as ccxt does: BTC/USDT, or ETH/USDT:USDT for a perpetual", (
    Form("^[A-Za-z0-9]+[-_][A-Za-z0-9]+$", "write the market as ccxt does", "self.replace('-', '/').replace('_', '/')",
         lambda text: text.replace("-", "/").replace("_", "/")),
    Form(f"^[A-Z0-9]+{_QUOTE}", "write the market as ccxt does",
         f"self.substring(0, self.size() - self.find('{_QUOTE}').size()) + '/' + self.find('{_QUOTE}')", lambda text: re.sub(_QUOTE, r"/\1", text)),
))
TIMES = Wording(TIME, "write a time as RFC 3339 does, with its zone: 2026-01-31T12:00:00Z", (
    Form(_CLOCK + "$", "write the time's zone, for UTC", "self + 'Z'", lambda text: f"{text}Z"),
), also="timestamp(self) > timestamp('1000-01-01T00:00:00Z')")  # no 31st of February
POSITIVES = _decimal(POSITIVE, "write a number above zero in plain digits, such as 0.01")
NON_NEGATIVES = _decimal(NON_NEGATIVE, "write a number that is not below zero in plain digits, such as 0.01")
SIGNEDS = _decimal(SIGNED, "write a number in plain digits, such as -0.01")

#: By the regular expression that a field has.
WORDINGS: Mapping[str, Wording] = {one.pattern: one for one in (SYMBOLS, TIMES, POSITIVES, NON_NEGATIVES, SIGNEDS)}
