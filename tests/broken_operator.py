"""The operator with a part of it broken on purpose, so that a test sees what the part is for: `python tests/broken_operator.py --without-recovery run …`.

The product knows nothing of this: a part is replaced here, in this process, and the rest is the product's own command with its own arguments. It imports
nothing of tests/, since tests/kind runs it in the product's image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import kopf

from exchange_kernel.cli.main import app
from exchange_kernel.handlers import order_groups, order_intents
from exchange_kernel.reconcile.session import AccountSession


def drop_events() -> None:
    """Throw away the watch events of intents and groups: the timer alone must do."""
    replace_part(order_intents, "register", lambda *_: None)
    replace_part(order_groups, "register", lambda *_: None)


def no_timer() -> None:
    """Switch the timers off: the events alone must do."""
    replace_part(kopf, "timer", lambda *_, **__: lambda handler: handler)


def without_recovery() -> None:
    """Count every intent as unsent: what exactly-once would look like without rules 3 and 5."""
    seen = AccountSession.seen

    def as_if_new(*arguments: Any, **named: Any) -> Any:
        sight = seen(*arguments, **named)
        return None if sight is None else replace(sight, new=True, inherited=False)

    replace_part(AccountSession, "seen", as_if_new)


def replace_part(whole: Any, name: str, part: Any) -> None:
    """Raises AttributeError where the product has no such part any more: a break that breaks nothing would prove nothing."""
    getattr(whole, name)
    setattr(whole, name, part)


BREAKS: dict[str, Callable[[], None]] = {"--drop-events": drop_events, "--no-timer": no_timer, "--without-recovery": without_recovery}

if __name__ == "__main__":
    _, how, *arguments = sys.argv
    BREAKS[how]()
    print(f"this operator is broken on purpose: {how}", file=sys.stderr, flush=True)
    app(arguments)
