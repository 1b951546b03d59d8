"""The one place where a venue's text becomes fit for logs, conditions, Events and terminals."""

from __future__ import annotations

#: As much of a sentence as is kept: a condition has 1,024 characters for all of its own.
MAX_SENTENCE = 200


def printable(text: str, at_most: int = MAX_SENTENCE) -> str:
    """Escape what is no visible character (control characters, line ends, marks that turn the direction of text), and cut what is too long."""
    cut = text[:at_most]
    if not cut.isprintable():
        cut = "".join(one if one.isprintable() else one.encode("unicode_escape", "backslashreplace").decode("ascii") for one in cut)[:at_most]
    return cut if len(text) <= at_most else f"{cut[:at_most - 1]}…"
