"""What Binance's errors prove [errors.md]."""

from __future__ import annotations

from exchange_kernel.exchanges.ccxt.dialect import BALANCE, CLOSED, PASSED, RULES, codes, words

#: Codes under which the matching engine speaks.
ENGINE = ("-1010", "-1013", "-2010")

#: "Messages for -1010, -2010, -2011 and -2038", without those that speak of an order that may exist.
ENGINE_REFUSALS = (
    "Market orders are not supported for this symbol.",
    "This action is disabled on this account.",
    "This account may not place or cancel orders.",
    "Unsupported order combination",
    "Unsupported order combination.",
    "Stop loss orders are not supported for this symbol.",
    "Stop loss limit orders are not supported for this symbol.",
    "Take profit orders are not supported for this symbol.",
    "Take profit limit orders are not supported for this symbol.",
    "Trailing stop orders are not supported for this symbol.",
    "The relationship of the prices for the orders is not correct.",
    "OCO orders are not supported for this symbol",
    "Order would immediately match and take.",
    "Quote order qty market orders are not support for this symbol.",
    "This symbol is not permitted for this account.",
    "This symbol is restricted for this account.",
    "Rest API trading is not enabled.",
    "Order book liquidity is less than %s filter minimum quantity.",
    "Order book liquidity is less than symbol minimum quantity.",
)

#: The filters that an order is rounded and judged by before it is sent. The others depend on prices and on the account. [filters.md]
FILTERS = (
    "Filter failure: PRICE_FILTER", "Filter failure: LOT_SIZE", "Filter failure: MARKET_LOT_SIZE", "Filter failure: MIN_NOTIONAL", "Filter failure: NOTIONAL",
    "Price * QTY is zero or less.",
)

#: Of the same table: the order is as it was. "No state" is what an amend is told that was made before.
AMEND_REFUSALS = (
    "Order amend is not supported for this symbol.",
    "Order amend (quantity increase) is not supported.",
    "The requested action would change no state; rejecting",
    "The requested action would change no state; rejecting.",
    "This action is disabled on this account.",
    "This account may not place or cancel orders.",
    "Rest API trading is not enabled.",
    "Filter failure: %s",
)

WORDS = words(
    "github.com/binance/binance-spot-api-docs: errors.md",
    # One code for "no funds" and "exists": asked first.
    duplicates=(codes(*ENGINE, messages=("Duplicate order sent.",), meaning="an open order has this client order id"),),
    refusals=(
        codes(*ENGINE, "-2038", messages=FILTERS, meaning="a filter of the market refused it, of those in its list", kind=RULES),
        codes("-2038", messages=AMEND_REFUSALS, meaning="the amend was refused: the order is as it was"),
        codes(*ENGINE, messages=("Market is closed.",), meaning="the market is not open for trading", kind=CLOSED),
        codes(*ENGINE, messages=("Account has insufficient balance for requested action.",), meaning="insufficient balance", kind=BALANCE),
        codes(*ENGINE, messages=("Order would trigger immediately.",), meaning="its trigger has been passed", kind=PASSED),
        codes(*ENGINE, messages=ENGINE_REFUSALS, meaning="the matching engine refused it"),
        codes(*ENGINE, messages=("Filter failure: %s",), meaning="a filter of the market refused it"),
        codes(*ENGINE, messages=("Stop price would trigger immediately.",), meaning="its trigger has been passed", kind=PASSED,
              source="ccxt 4.5: binance.py, exceptions"),
        codes("-1013", messages=("Invalid quantity.", "Invalid price."), meaning="quantity or price", kind=RULES, source="ccxt 4.5: binance.py, handle_errors"),
        codes("-2011", messages=(
            "Order was not canceled due to cancel restrictions.", "This action is disabled on this account.", "This account may not place or cancel orders.",
            "Cancel order is invalid. Check origClOrdId and orderId.", "Rest API trading is not enabled.",
        ), meaning="the cancel was refused"),
        codes("-1002", messages=("You are not authorized to execute this request.",), meaning="not authorised"),
        codes("-1014", messages=("Unsupported order combination.",), meaning="parameters that do not go together"),
        codes("-1020", messages=("This operation is not supported.",), meaning="not supported"),
        codes("-1022", messages=("Signature for this request is not valid.",), meaning="signature"),
        codes("-1100", messages=(
            "Illegal characters found in a parameter.", "Illegal characters found in parameter '%s'; legal range is '%s'.",
        ), meaning="characters of a parameter"),
        codes("-1101", messages=(
            "Too many parameters sent for this endpoint.", "Too many parameters; expected '%s' and received '%s'.",
            "Duplicate values for a parameter detected.", "Duplicate values for parameter '%s'.",
        ), meaning="too many parameters"),
        codes("-1102", messages=(
            "A mandatory parameter was not sent, was empty/null, or malformed.", "Mandatory parameter '%s' was not sent, was empty/null, or malformed.",
            "Param '%s' or '%s' must be sent, but both were empty/null!", "Field value was empty or malformed.",
            "'%s' contains unexpected value. Cannot be greater than %s.",
        ), meaning="a parameter is missing or malformed"),
        codes("-1103", messages=("An unknown parameter was sent.",), meaning="unknown parameter"),
        codes("-1104", messages=(
            "Not all sent parameters were read.", "Not all sent parameters were read; read '%s' parameter(s) but was sent '%s'.",
        ), meaning="parameters that were not read"),
        codes("-1105", messages=("A parameter was empty.", "Parameter '%s' was empty."), meaning="a parameter is empty"),
        codes("-1106", messages=("A parameter was sent when not required.", "Parameter '%s' sent when not required."), meaning="a parameter too many"),
        codes("-1108", messages=("Parameter '%s' overflowed.",), meaning="a number is too large"),
        codes("-1111", messages=(
            "Parameter '%s' has too much precision.", "Precision is over the maximum defined for this asset.",
        ), meaning="decimal places", kind=RULES),
        codes("-1112", messages=("No orders on book for symbol.",), meaning="a market order, and no orders on the other side"),
        codes("-1114", messages=("TimeInForce parameter sent when not required.",), meaning="time in force"),
        codes("-1115", messages=("Invalid timeInForce.",), meaning="time in force"),
        codes("-1116", messages=("Invalid orderType.",), meaning="order type"),
        codes("-1117", messages=("Invalid side.",), meaning="side"),
        codes("-1118", messages=("New client order ID was empty.",), meaning="no client order id"),
        codes("-1119", messages=("Original client order ID was empty.",), meaning="no client order id"),
        codes("-1121", messages=("Invalid symbol.",), meaning="symbol", kind=RULES),
        codes("-1128", messages=(
            "Combination of optional parameters invalid.", "Fields [%s] must be sent together or omitted entirely.",
        ), meaning="parameters that do not go together"),
        codes("-1130", messages=("Invalid data sent for a parameter.", "Data sent for parameter '%s' is not valid."), meaning="a parameter's value"),
        codes("-2014", messages=("API-key format invalid.",), meaning="key"),
        codes("-2015", messages=("Invalid API-key, IP, or permissions for action.",), meaning="key, address or permissions"),
    ),
    time=(codes("-1021", messages=("Timestamp for this request %s",), meaning="the timestamp is outside of recvWindow, or ahead"),),
    unknown_order=(
        codes("-2011", "-2038", messages=("Unknown order sent.",), meaning="no such open order"),
        codes("-2013", messages=("Order does not exist.",), meaning="no such order"),
    ),
    # Not -2026 (archived), which says that it existed and was once sent for new orders by mistake [CHANGELOG.md].
    not_found=(
        codes("-2013", messages=("Order does not exist.",), meaning="no such order"),
        codes("-2013", messages=("Order list does not exist.",), meaning="no such list"),
        codes("-2018", messages=("Order list does not exist.",), meaning="no such list", source="github.com/binance/binance-spot-api-docs: pull request 43"),
    ),
    busy=(codes("-1003", meaning="too many requests"), codes("-1015", meaning="too many new orders")),
)
