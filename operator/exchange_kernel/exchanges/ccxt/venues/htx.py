"""HTX, spot [huobiapi.github.io/docs/spot/v1/en: Trading]."""

from __future__ import annotations

from typing import Any

from exchange_kernel.api import DuplicateIdsRefused
from exchange_kernel.exchanges.ccxt.dialect import BALANCE, CLOSED, RULES, codes, words
from exchange_kernel.exchanges.ccxt.row import DAY_MS, HOUR_MS, IMMEDIATE, Row, cancel_by_ours, lookup_by_ours


def read_error(document: Any) -> tuple[str, str] | None:
    match document:
        case {"status": "error", "err-code": str(code)}:
            return code, str(document.get("err-msg", ""))
    return None


ROWS = (Row(
    exchange_id="htx", market_type="spot",
    options={"defaultType": "spot", "fetchMarkets": {"types": {"spot": True, "linear": False, "inverse": False}}},
    numbered_account="spot",                                   # account-id, in each order [Place a New Order; Get all Accounts of the Current User]
    cancel_by=cancel_by_ours, lookup_by=lookup_by_ours,        # [Submit Cancel ... based on client order ID; Get the Order Detail ... based on client order ID]
    # Limit only: the amount of a market buy is of the quote [Place a New Order, amount].
    ended=("fetch_orders",), ended_page=100, open_page=100,    # default size [Search Past Orders; Get All Open Orders]
    read_error=read_error, errors_in_200=True,
    succeeded=lambda document: isinstance(document, dict) and document.get("status") == "ok" and document.get("data") is not None,
    # A timestamp is good for five minutes, which nobody can shorten [Authentication]: longer than an operator holds its Lease, so it is not counted on.
    id_max_length=64, id_pattern="[-0-9A-Za-z_]{1,64}",        # [IDs, client-order-id]
    duplicates=DuplicateIdsRefused.NEVER,                      # "will no longer be verified" [announcement of 2021-04-27]
    retention_ms=2 * HOUR_MS,                                  # by our id: two hours from its creation, once it is over [IDs, client-order-id]
    retention_filled_ms=2 * HOUR_MS, orders_horizon_ms=180 * DAY_MS, trades_horizon_ms=120 * DAY_MS,       # [Search Past Orders; Search Match Results]
    create_batch=10, cancel_batch=50, dead_man_switch=True,    # [Place a Batch of Orders; Submit Cancel for Multiple Orders; Dead man's switch]
    times_in_force=IMMEDIATE, post_only=True,                  # limit, limit-maker, ioc, limit-fok [Place a New Order, type]
    words=words(
        "huobiapi.github.io/docs/spot/v1/en: Trading, Error Code",
        duplicates=(codes("invalid-client-order-id", meaning="the client order id is a duplicate"),),
        refusals=(
            codes("order-accountbalance-error", meaning="insufficient balance", kind=BALANCE),
            codes("order-invalid-price", "order-limitorder-price-min-error", "order-limitorder-price-max-error", "order-orderprice-precision-error",
                  "order-price-greater-than-limit", "order-price-less-than-limit", "price-exceeds-the-protective-price-during-limit-price-trading",
                  "order-etp-nav-price-min-error", "order-etp-nav-price-max-error", meaning="the price's limits and decimals", kind=RULES),
            codes("order-amount-over-limit", "order-limitorder-amount-min-error", "order-limitorder-amount-max-error", "order-orderamount-precision-error",
                  "order-value-min-error", meaning="the quantity's limits and decimals", kind=RULES),
            codes("order-holding-limit-failed", meaning="the holding limit of the asset"),
            codes("base-symbol-trade-disabled", "order-disabled", "cancel-disabled", meaning="the market takes no orders, or no cancels, now", kind=CLOSED),
            codes("base-operation-forbidden", "operation-forbidden-for-lock-account-state", meaning="the account may not do this"),
            codes("account-get-accounts-inexistent-error", "account-account-id-inexistent", meaning="no such account"),
            codes("order-type-invalid", "base-argument-unsupported", "validation-constraints-required", meaning="a parameter"),
            codes("login-required", meaning="key or signature: before anything is done"),
        ),
        unknown_order=(
            codes("order-orderstate-error", meaning="it is over, or on its way there"),
            codes("not-found", "base-not-found", "base-record-invalid", meaning="no such order"),
        ),
        not_found=(codes("base-record-invalid", meaning="no such client order id", messages=("record invalid",),
                         source="huobiapi.github.io/docs/spot/v1/en: Get the Order Detail of an Order (based on client order ID)"),),
    ),
),)
