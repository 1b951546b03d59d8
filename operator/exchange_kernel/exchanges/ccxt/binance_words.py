"""What Binance's errors prove [errors.md]."""

from __future__ import annotations

from exchange_kernel.exchanges.ccxt.dialect import AllowList, Words

#: "Messages for -1010, -2010, -2011 and -2038", without those that speak of an order that may exist.
ENGINE_REFUSALS = (
    "Market is closed.",
    "Account has insufficient balance for requested action.",
    "Market orders are not supported for this symbol.",
    "Price * QTY is zero or less.",
    "This action is disabled on this account.",
    "This account may not place or cancel orders.",
    "Unsupported order combination",
    "Unsupported order combination.",
    "Order would trigger immediately.",
    "Stop price would trigger immediately.",                        # as the venue says it [ccxt, binance.py, exceptions]
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

WORDS = Words(
    # One code for "no funds" and "exists": asked first.
    duplicates=AllowList((("-1010", "-1013", "-2010"), ("Duplicate order sent.",))),
    refusals=AllowList(
        (("-2038",), AMEND_REFUSALS),
        (("-1010", "-1013", "-2010"), ENGINE_REFUSALS),
        (("-1010", "-1013", "-2010"), ("Filter failure: %s",)),
        (("-1013",), ("Invalid quantity.", "Invalid price.")),      # seen by ccxt (binance.py, handle_errors)
        (("-2011",), (
            "Order was not canceled due to cancel restrictions.", "This action is disabled on this account.", "This account may not place or cancel orders.",
            "Cancel order is invalid. Check origClOrdId and orderId.", "Rest API trading is not enabled.",
        )),
        (("-1002",), ("You are not authorized to execute this request.",)),
        (("-1014",), ("Unsupported order combination.",)),
        (("-1020",), ("This operation is not supported.",)),
        (("-1022",), ("Signature for this request is not valid.",)),
        (("-1100",), ("Illegal characters found in a parameter.", "Illegal characters found in parameter '%s'; legal range is '%s'.")),
        (("-1101",), (
            "Too many parameters sent for this endpoint.", "Too many parameters; expected '%s' and received '%s'.",
            "Duplicate values for a parameter detected.", "Duplicate values for parameter '%s'.",
        )),
        (("-1102",), (
            "A mandatory parameter was not sent, was empty/null, or malformed.", "Mandatory parameter '%s' was not sent, was empty/null, or malformed.",
            "Param '%s' or '%s' must be sent, but both were empty/null!", "Field value was empty or malformed.",
            "'%s' contains unexpected value. Cannot be greater than %s.",
        )),
        (("-1103",), ("An unknown parameter was sent.",)),
        (("-1104",), ("Not all sent parameters were read.", "Not all sent parameters were read; read '%s' parameter(s) but was sent '%s'.")),
        (("-1105",), ("A parameter was empty.", "Parameter '%s' was empty.")),
        (("-1106",), ("A parameter was sent when not required.", "Parameter '%s' sent when not required.")),
        (("-1108",), ("Parameter '%s' overflowed.",)),
        (("-1111",), ("Parameter '%s' has too much precision.", "Precision is over the maximum defined for this asset.")),
        (("-1112",), ("No orders on book for symbol.",)),
        (("-1114",), ("TimeInForce parameter sent when not required.",)),
        (("-1115",), ("Invalid timeInForce.",)),
        (("-1116",), ("Invalid orderType.",)),
        (("-1117",), ("Invalid side.",)),
        (("-1118",), ("New client order ID was empty.",)),
        (("-1119",), ("Original client order ID was empty.",)),
        (("-1121",), ("Invalid symbol.",)),
        (("-1128",), ("Combination of optional parameters invalid.", "Fields [%s] must be sent together or omitted entirely.")),
        (("-1130",), ("Invalid data sent for a parameter.", "Data sent for parameter '%s' is not valid.")),
        (("-2014",), ("API-key format invalid.",)),
        (("-2015",), ("Invalid API-key, IP, or permissions for action.",)),
    ),
    time=AllowList((("-1021",), ("Timestamp for this request %s",))),
    unknown_order=AllowList((("-2011", "-2038"), ("Unknown order sent.",)), (("-2013",), ("Order does not exist.",))),
    # Not -2026 (archived), which says that it existed and was once sent for new orders by mistake [CHANGELOG.md].
    # A list's -2018 is not in errors.md [binance-spot-api-docs, pull request 43].
    not_found=AllowList((("-2013",), ("Order does not exist.",)), (("-2013", "-2018"), ("Order list does not exist.",))),
    busy=AllowList((("-1003",), ("%s",)), (("-1015",), ("%s",))),
)
