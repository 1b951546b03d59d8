"""What a kernel raises. Each says what to do about it, and carries the intent's id where there is one."""

from __future__ import annotations

from collections.abc import Sequence


class KernelError(Exception):
    """Base of all errors that a kernel raises on purpose."""

    def __init__(self, message: str, *, intent_id: str | None = None) -> None:
        super().__init__(message)
        self.intent_id = intent_id


class ValidationError(KernelError):
    """The order, or what came with it, breaks a rule: nothing of it reached the exchange, nor will. `problems` has one sentence for each rule broken."""

    def __init__(self, problems: Sequence[str], *, intent_id: str | None = None) -> None:
        super().__init__("; ".join(problems), intent_id=intent_id)
        self.problems = tuple(problems)


class ExchangeError(KernelError):
    """The exchange refused, or what stands between the strategy and it does not work.

    `reason` is the exchange's own word, stable text, where it refused. `outcome_unknown`: whether the order is wanted could not be found out;
    `get_order_state(intent_id)` tells once the connection is back, and until then placing it anew may place it twice.
    """

    def __init__(self, message: str, *, intent_id: str | None = None, reason: str | None = None, outcome_unknown: bool = False) -> None:
        super().__init__(message, intent_id=intent_id)
        self.reason = reason
        self.outcome_unknown = outcome_unknown


class NotFoundError(KernelError):
    """No intent, symbol or asset of this name."""
