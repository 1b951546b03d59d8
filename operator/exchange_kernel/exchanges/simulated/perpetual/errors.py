"""The refusals of the venue: Gate's labels. Each stands in the list of labels of its API documentation ("Error handling", Futures) and in ccxt's table."""

from __future__ import annotations


class PerpetualError(Exception):
    def __init__(self, label: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{label} {message}")
        self.label = label
        self.message = message
        self.status = status

    def document(self) -> dict[str, str]:
        return {"label": self.label, "message": self.message}


# ── Before the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def missing_header(name: str) -> PerpetualError:
    return PerpetualError("MISSING_REQUIRED_HEADER", f"Missing required header: {name}", status=401)


def unknown_key() -> PerpetualError:
    return PerpetualError("INVALID_KEY", "Invalid key provided", status=401)


def bad_signature() -> PerpetualError:
    return PerpetualError("INVALID_SIGNATURE", "Signature mismatch", status=401)


def expired(gap_s: int) -> PerpetualError:
    return PerpetualError("REQUEST_EXPIRED", f"gap between request Timestamp and server time exceeds {gap_s}", status=403)


def no_such_endpoint() -> PerpetualError:
    return PerpetualError("NOT_FOUND", "Request not found", status=404)


def bad_body() -> PerpetualError:
    return PerpetualError("INVALID_REQUEST_BODY", "Request body is not valid JSON")


def missing(name: str) -> PerpetualError:
    return PerpetualError("MISSING_REQUIRED_PARAM", f"Missing required parameter: {name}")


def invalid(name: str) -> PerpetualError:
    return PerpetualError("INVALID_PARAM_VALUE", f"invalid argument: {name}")


def unknown_contract() -> PerpetualError:
    return PerpetualError("CONTRACT_NOT_FOUND", "Futures contract not found")


# ── By the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def size_too_small() -> PerpetualError:
    return PerpetualError("SIZE_TOO_SMALL", "Order size is below the contract's minimum")


def size_too_large() -> PerpetualError:
    return PerpetualError("SIZE_TOO_LARGE", "Order size exceeds the contract's limit")


def insufficient() -> PerpetualError:
    return PerpetualError("INSUFFICIENT_AVAILABLE", "Not enough balance available")


def would_increase() -> PerpetualError:
    return PerpetualError("INCREASE_POSITION", "Order would increase the position although it is reduce-only")


def nothing_to_close() -> PerpetualError:
    return PerpetualError("POSITION_EMPTY", "No position to close")


def would_take() -> PerpetualError:
    return PerpetualError("ORDER_POC_IMMEDIATE", "Order would have been executed immediately, which post-only does not allow")


def would_not_fill() -> PerpetualError:
    return PerpetualError("ORDER_FOK", "Order cannot be filled completely")


def no_such_order() -> PerpetualError:
    return PerpetualError("ORDER_NOT_FOUND", "Order not found", status=404)


def order_finished() -> PerpetualError:
    return PerpetualError("ORDER_FINISHED", "Order is finished")


def wrong_mode() -> PerpetualError:
    return PerpetualError("POSITION_DUAL_MODE", "Operation is not allowed in this position mode")


def positions_held() -> PerpetualError:
    return PerpetualError("POSITION_HOLDING", "There are positions")


def orders_pending() -> PerpetualError:
    return PerpetualError("ORDER_PENDING", "There are open orders")


def leverage_too_high() -> PerpetualError:
    return PerpetualError("LEVERAGE_TOO_HIGH", "Leverage is above the contract's limit")
