"""The refusals of the venue, with Binance's codes, texts and statuses. Source: binance-spot-api-docs, errors.md, except where a line says otherwise."""

from __future__ import annotations

from collections.abc import Mapping


class VenueError(Exception):
    """An answer that is an error. `reason` is what an executionReport's `r` says where the engine refused an order; empty where no engine saw it."""

    def __init__(self, code: int, message: str, *, status: int = 400, reason: str = "", headers: Mapping[str, str] | None = None,
                 data: Mapping[str, object] | None = None) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status
        self.reason = reason
        self.headers = headers or {}
        self.data = data                # a cancel-replace says how its two halves ended

    def document(self) -> dict[str, object]:
        body: dict[str, object] = {"code": self.code, "msg": self.message}
        return body if self.data is None else {**body, "data": self.data}


# ── Before the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def too_much_weight(limit: int, retry_after_s: int) -> VenueError:
    return VenueError(
        -1003, f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
        status=429, headers={"Retry-After": str(retry_after_s)},
    )


def banned(until_ms: int, retry_after_s: int) -> VenueError:
    return VenueError(
        -1003, f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams for live updates to avoid bans.",
        status=418, headers={"Retry-After": str(retry_after_s)},
    )


def too_many_orders(limit: int, interval: str, retry_after_s: int) -> VenueError:
    return VenueError(
        -1015, f"Too many new orders; current limit is {limit} orders per {interval}.", status=429, headers={"Retry-After": str(retry_after_s)})


def unsupported_operation() -> VenueError:
    return VenueError(-1020, "This operation is not supported.")


def outside_window() -> VenueError:
    return VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_time() -> VenueError:
    return VenueError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def bad_signature() -> VenueError:
    return VenueError(-1022, "Signature for this request is not valid.")


def bad_key_format() -> VenueError:
    return VenueError(-2014, "API-key format invalid.", status=401)


def unknown_key() -> VenueError:
    return VenueError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)


# ── Parameters ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def illegal_characters(name: str, legal: str) -> VenueError:
    return VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def repeated(name: str) -> VenueError:
    return VenueError(-1101, f"Duplicate values for parameter '{name}'.")


def mandatory(name: str) -> VenueError:
    return VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def one_of(first: str, second: str) -> VenueError:
    return VenueError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def too_great(name: str, most: int) -> VenueError:
    return VenueError(-1102, f"'{name}' contains unexpected value. Cannot be greater than {most}.")


def unread(read: int, sent: int) -> VenueError:
    return VenueError(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def empty(name: str) -> VenueError:
    return VenueError(-1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> VenueError:
    return VenueError(-1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> VenueError:
    return VenueError(-1111, f"Parameter '{name}' has too much precision.")


def bad_time_in_force() -> VenueError:
    return VenueError(-1115, "Invalid timeInForce.")


def bad_order_type() -> VenueError:
    return VenueError(-1116, "Invalid orderType.")


def bad_side() -> VenueError:
    return VenueError(-1117, "Invalid side.")


def bad_symbol() -> VenueError:
    return VenueError(-1121, "Invalid symbol.")


def too_long(hours: int) -> VenueError:
    return VenueError(-1127, f"More than {hours} hours between startTime and endTime.")


def bad_combination() -> VenueError:
    return VenueError(-1128, "Combination of optional parameters invalid.")


def not_valid(name: str) -> VenueError:
    return VenueError(-1130, f"Data sent for parameter '{name}' is not valid.")


def not_in_oco() -> VenueError:
    return VenueError(-1158, "Order type not supported in OCO.")


def limit_must_be_below() -> VenueError:
    return VenueError(-1165, "A limit order in a buy OCO must be below.")


def limit_must_be_above() -> VenueError:
    return VenueError(-1166, "A limit order in a sell OCO must be above.")


def both_limits() -> VenueError:
    return VenueError(-1168, "At least one OCO order must be contingent.")


def bad_json() -> VenueError:
    return VenueError(-1135, "Invalid JSON Request")


def bad_restrictions() -> VenueError:
    return VenueError(-1145, "Invalid cancelRestrictions")          # rest-api.md, "Regarding cancelRestrictions"


# ── The engine ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def filter_failure(name: str) -> VenueError:
    return VenueError(-1013, f"Filter failure: {name}")


def market_closed() -> VenueError:
    return VenueError(-1013, "Market is closed.")


def invalid(what: str) -> VenueError:
    return VenueError(-1013, f"Invalid {what}.")                    # seen by ccxt: binance.py, handle_errors


def insufficient_balance() -> VenueError:
    return VenueError(-2010, "Account has insufficient balance for requested action.", reason="INSUFFICIENT_BALANCES")


def would_take() -> VenueError:
    return VenueError(-2010, "Order would immediately match and take.", reason="WOULD_MATCH_IMMEDIATELY")


def duplicate_order() -> VenueError:
    return VenueError(-2010, "Duplicate order sent.", reason="NONE")


def would_trigger() -> VenueError:
    """errors.md has "Order would trigger immediately."; this is what the venue says. [seen by ccxt: binance.py, exceptions]"""
    return VenueError(-2010, "Stop price would trigger immediately.", reason="STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY")


def bad_relationship() -> VenueError:
    return VenueError(-2010, "The relationship of the prices for the orders is not correct.", reason="OCO_BAD_PRICES")


def no_icebergs() -> VenueError:
    return VenueError(-2010, "Iceberg orders are not supported for this symbol.")


def type_not_supported(order_type: str) -> VenueError:
    """`order_type` in the venue's words: STOP_LOSS_LIMIT. [errors.md, Messages for -1010, -2010 and -2011]"""
    return VenueError(-2010, f"{order_type.replace('_', ' ').capitalize()} orders are not supported for this symbol.")


def prevention_not_allowed() -> VenueError:
    return VenueError(-1013, "This symbol does not allow the specified self-trade prevention mode.")     # faqs/stp_faq.md


def no_liquidity() -> VenueError:
    return VenueError(-2010, "Order book liquidity is less than symbol minimum quantity.")


def unknown_order() -> VenueError:
    return VenueError(-2011, "Unknown order sent.")


def unknown_list() -> VenueError:
    return VenueError(-2011, "Unknown order list sent.")            # as for lookups: the code for orders


def restricted_cancel() -> VenueError:
    return VenueError(-2011, "Order was not canceled due to cancel restrictions.")


def no_such_order() -> VenueError:
    return VenueError(-2013, "Order does not exist.")


def no_such_list() -> VenueError:
    return VenueError(-2013, "Order list does not exist.")          # errors.md has no line for lists: its code for orders


def wrong_client_order_id() -> VenueError:
    return VenueError(-2039, "Client order ID is not correct for this order ID.")


def amend_rejected(message: str) -> VenueError:
    return VenueError(-2038, message)


def already_subscribed() -> VenueError:
    return VenueError(-2035, "User Data Stream subscription already active.")


def not_subscribed() -> VenueError:
    return VenueError(-2036, "User Data Stream subscription not active.")
