"""The rows of the table, by venue. Sources in brackets: the venue's documentation page, or `ccxt` for what its pinned source writes and maps.

Beside each code stands what the venue's documentation says it means. What is not here is Unknown, Unreachable or refused before it is sent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from exchange_kernel.api import DuplicateIdsRefused, ExpiryCheck
from exchange_kernel.exchanges.ccxt.binance_answers import read_error as binance_error
from exchange_kernel.exchanges.ccxt.dialect import AllowList
from exchange_kernel.exchanges.ccxt.gate_swap import GATE_SWAP
from exchange_kernel.exchanges.ccxt.row import HOUR_MS, Asked, Row, codes, texts, words

IMMEDIATE = frozenset({"GTC", "IOC", "FOK"})
WINDOW_MS = 3000


def _cancel(written: str, symbol: str) -> Asked:
    return "cancel_order", (None, symbol, {"clientOrderId": written})


def _lookup(written: str, symbol: str) -> Asked:
    return "fetch_order", (None, symbol, {"clientOrderId": written})


# ── OKX [okx.com/docs-v5: Order Book Trading, Trade; Error Code] ────────────────────────────────────────────────────────────────────────────

def _okx_error(document: Any) -> tuple[str, str] | None:
    """The code of the one order in it; the envelope's is 1, "operation failed", then."""
    if not isinstance(document, dict) or not isinstance(document.get("code"), str) or document["code"] == "0":
        return None
    match document.get("data"):
        case [{"sCode": str(code), "sMsg": str(message)}] if code != "0":
            return code, message
    return document["code"], str(document.get("msg", ""))


def _okx(market_type: str) -> Row:
    return Row(
        exchange_id="okx", market_type=market_type,
        options={"createOrder": "privatePostTradeOrder", "fetchMarkets": {"types": [market_type]}, "defaultType": market_type, "fetchCurrencies": False,
                 "brokerId": ""},
        market_params={"tgtCcy": "base_ccy"} if market_type == "spot" else {},      # else the quantity of a market buy is of the quote [Place order, tgtCcy]
        cancel_by=_cancel, lookup_by=_lookup,                                       # clOrdId [Cancel order; Order details]
        ended=("fetch_closed_orders", "fetch_canceled_orders"),
        account_method="privateGetAccountConfig", account_number=("data", 0, "uid"),        # [Account configuration]
        read_error=_okx_error, errors_in_200=True,
        succeeded=lambda document: isinstance(document, dict) and document.get("code") == "0" and isinstance(document.get("data"), list),
        time_header="expTime", window_ms=WINDOW_MS, expiry_check=ExpiryCheck.ON_ARRIVAL,    # "request effective deadline" [Place order]
        id_max_length=32,                                                           # 1 to 32 letters and digits [Place order, clOrdId]
        duplicates=DuplicateIdsRefused.WHILE_OPEN,                                  # among pending orders [Order details, clOrdId]
        retention_ms=2 * HOUR_MS,                                                   # cancelled without a fill [Order details]
        open_page=100, times_in_force=IMMEDIATE, post_only=True, reduce_only=market_type != "spot",
        words=words(
            duplicates=codes("51016"),         # Client order ID already exists
            refusals=codes(
                "50014",                       # Parameter cannot be empty
                "50027",                       # The account is restricted from trading
                "50105", "50111", "50113",     # Passphrase, key, signature: before anything is done
                "50110",                       # Invalid IP
                "51000", "51001",              # Parameter error; no such instrument
                "51004", "51005", "51006",     # Amount exceeds tier, limit; price out of the limit
                "51008", "51119", "51127", "51131",                 # Insufficient balance
                "51020", "51120", "51121",     # Amount below the minimum, not a multiple of the lot
                "51021", "51022", "51027", "51028",                 # Contract not listed yet, suspended, expired, under delivery
                "51116", "51122", "51136", "51137", "51138",        # Price limits
                "51202", "51203", "51205",     # Market order's amount; amount; reduce-only is not available
            ),
            time=codes("50102"),               # Timestamp request expired
            unknown_order=codes("51400", "51401", "51402", "51603"),         # Does not exist, already cancelled, already completed
            not_found=codes("51603"),          # Order does not exist
            busy=codes("50011", "50013", "50061"),                  # Rate limit; system is busy; sub-account's rate limit
        ),
    )


# ── Bybit [bybit-exchange.github.io/docs/v5: Error Codes; Trade] ────────────────────────────────────────────────────────────────────────────

def _bybit_error(document: Any) -> tuple[str, str] | None:
    if not isinstance(document, dict) or type(document.get("retCode")) is not int or document["retCode"] == 0:
        return None
    return str(document["retCode"]), str(document.get("retMsg", ""))


def _bybit_cancel(written: str, symbol: str) -> Asked:
    return "cancel_order", (None, symbol, {"orderLinkId": written})      # the unified key is ignored here [ccxt]


def _bybit(market_type: str) -> Row:
    return Row(
        exchange_id="bybit", market_type=market_type,
        options={"enableUnifiedMargin": False, "enableUnifiedAccount": True, "unifiedMarginStatus": 6, "recvWindow": WINDOW_MS, "defaultType": market_type,
                 "fetchMarkets": {"types": ["spot"] if market_type == "spot" else ["linear", "inverse"]}, "brokerId": None},
        market_params={"marketUnit": "baseCoin"} if market_type == "spot" else {},  # else a spot market buy is of the quote [Place Order, marketUnit]
        settle=None if market_type == "spot" else "USDT",                           # one settle coin a list [Get Open & Closed Orders, settleCoin]
        cancel_by=_bybit_cancel, lookup_by_theirs=False, listed_by="orderLinkId",   # [Cancel Order; Get Open & Closed Orders]
        ended=("fetch_canceled_and_closed_orders",), ended_page=20, open_page=20,   # default limit 20 [Get Order History]
        account_method="privateGetV5UserQueryApi", account_number=("result", "userID"),     # [Get API Key Information]
        read_error=_bybit_error, errors_in_200=True,
        succeeded=lambda document: isinstance(document, dict) and document.get("retCode") == 0 and isinstance(document.get("result"), dict),
        window_ms=WINDOW_MS, expiry_check=ExpiryCheck.ON_ARRIVAL,                   # server_time - recv_window <= timestamp [Integration Guidance]
        id_max_length=36, duplicates=DuplicateIdsRefused.WHILE_OPEN,                # 36 characters, "always unique" [Place Order, orderLinkId]
        retention_ms=24 * HOUR_MS,                                                  # cancelled without a fill [Get Order History]
        times_in_force=IMMEDIATE, post_only=True, reduce_only=market_type != "spot",
        words=words(
            duplicates=codes("110072", "170141"),          # OrderLinkedID is duplicate; Duplicate clientOrderId
            refusals=codes(
                "10003", "10004", "10005", "10010",        # Key, signature, permission, IP: before anything is done
                "110003",                                  # Order price exceeds the allowable range
                "110004", "110006", "110007", "110012",    # Insufficient balance
                "110017",                                  # Reduce-only rule not satisfied
                "110094",                                  # Order notional value below the lower limit
                "170115", "170116", "170117", "170121",    # Invalid time in force, type, side, symbol
                "170124", "170131", "170132", "170133", "170134", "170135", "170136", "170137", "170140",        # Amount, balance, price, decimals, minimum
                "170151", "170157", "170193", "170194", "170201",                # Not open; not for the API; price cap and floor; account restricted
            ),
            time=codes("10002"),                           # The request time exceeds the time window range
            unknown_order=codes("110001", "110008", "110010", "170139", "170142", "170143", "170213"),           # Not there, filled, cancelled
            busy=codes("10006", "10018"),                  # Rate limits
        ),
    )


# ── Kraken [docs.kraken.com: Spot REST; support.kraken.com: API error messages] ─────────────────────────────────────────────────────────────

def _kraken_error(document: Any) -> tuple[str, str] | None:
    """One error, which is its own code. Several say nothing together that is listed."""
    match document:
        case {"error": [str(only)]}:
            return only, only
        case {"error": [_, *_] as several}:
            return "several", " ".join(map(str, several))
    return None


def _kraken_deadline(stamp: int) -> dict[str, str]:
    """"The engine will prevent this order from matching after this time": from half a second to sixty after now. [Add Order, deadline]"""
    return {"deadline": datetime.fromtimestamp((stamp + 5000) / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}


KRAKEN = Row(
    exchange_id="kraken", market_type="spot", increasing_nonce=True, deadline=_kraken_deadline,
    window_ms=5000, expiry_check=ExpiryCheck.ON_ARRIVAL,       # the engine keeps it; but that an order is listed at once, nobody promises
    market_params={},                                          # volume is of the base unless a flag says otherwise [Add Order, oflags viqc]
    cancel_by=_cancel,                                         # cl_ord_id [Cancel Order]; ccxt's lookup by it sends another field
    listed_by="clientOrderId",                                 # cl_ord_id [Get Open Orders; Get Closed Orders]
    ended_page=50, open_page=500,                              # fifty results at a time [Get Closed Orders]; no pages [Get Open Orders]
    read_error=_kraken_error, errors_in_200=True,
    succeeded=lambda document: isinstance(document, dict) and document.get("error") == [] and bool(document.get("result")),
    id_max_length=32,                                          # 32 hex digits are one of its three forms [Client Order Identifiers]
    duplicates=DuplicateIdsRefused.WHILE_OPEN,                 # "verifies uniqueness across open orders" [Client Order Identifiers]
    retention_ms=24 * HOUR_MS, times_in_force=frozenset({"GTC", "IOC"}), post_only=True,
    words=words(
        refusals=texts(                                        # [API error messages]
            "EOrder:Insufficient funds", "EOrder:Order minimum not met", "EOrder:Cost minimum not met", "EOrder:Tick size check failed",
            "EOrder:Orders limit exceeded", "EOrder:Positions limit exceeded", "EOrder:Invalid price", "EOrder:Cannot open position",
            "EGeneral:Permission denied", "EAPI:Invalid key", "EAPI:Invalid signature", "EQuery:Unknown asset pair", "EQuery:Invalid asset pair",
            "EGeneral:Invalid arguments:volume", "EGeneral:Invalid arguments:price", "EService:Market in cancel_only mode",
            "EService:Market in post_only mode",
        ),
        unknown_order=texts("EOrder:Unknown order"),
        busy=texts("EAPI:Rate limit exceeded", "EOrder:Rate limit exceeded", "EGeneral:Temporary lockout", "EGeneral:Too many requests"),
    ),
)


# ── Coinbase [docs.cdp.coinbase.com: Advanced Trade API, Orders] ────────────────────────────────────────────────────────────────────────────

def _coinbase_error(document: Any) -> tuple[str, str] | None:
    match document:
        case {"error_response": {"error": str(code), **rest}}:
            reason = rest.get("preview_failure_reason") or code
            return (str(reason) if code == "UNKNOWN_FAILURE_REASON" else code), str(rest.get("message", ""))
        case {"error": str(code)}:
            return code, str(document.get("message", ""))
    return None


#: One of these is in every answer that is not an error.
COINBASE_KEYS = {"success", "results", "order", "orders", "fills", "accounts", "data"}

COINBASE = Row(
    exchange_id="coinbase", market_type="spot", send_as="client_order_id",     # ccxt's unified key is dropped, and an id of its own sent [ccxt]
    options={"fetchMarkets": {"types": ["spot"]}, "brokerId": None},
    ended=("fetch_orders",), open_page=100, trades_by="order_ids",             # [List Orders; List Fills]
    read_error=_coinbase_error, errors_in_200=True,
    succeeded=lambda document: isinstance(document, dict) and document.get("success") is not False and not COINBASE_KEYS.isdisjoint(document),
    id_max_length=36, duplicates=DuplicateIdsRefused.NEVER,    # the order it has is answered again [Create Order, client_order_id]
    times_in_force=IMMEDIATE, post_only=True,
    words=words(refusals=codes(                                # [Create Order, error_response]
        "INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND", "UNSUPPORTED_ORDER_CONFIGURATION", "INVALID_LIMIT_PRICE_POST_ONLY", "INVALID_PRICE_PRECISION",
        "INVALID_SIZE_PRECISION", "INVALID_LIMIT_PRICE", "INVALID_PRODUCT_ID", "INVALID_SIDE",
    )),
)


# ── KuCoin [kucoin.com/docs-new: Spot Trading, Orders; Error codes] ─────────────────────────────────────────────────────────────────────────

def _coded(success: str) -> Any:
    def read_error(document: Any) -> tuple[str, str] | None:
        if not isinstance(document, dict) or not isinstance(document.get("code"), str) or document["code"] == success:
            return None
        return document["code"], str(document.get("msg", ""))

    return read_error


KUCOIN = Row(
    exchange_id="kucoin", market_type="spot", skips=("load_migration_status",),
    options={"uta": False, "hf": True, "defaultType": "spot", "fetchMarkets": {"types": ["spot"], "fetchTickersFees": False}, "partner": {}},
    market_params={},                                          # size is of the base, funds of the quote [Add Order]
    cancel_by=_cancel, lookup_by=_lookup,                      # by clientOid [Cancel Order By ClientOid; Get Order By ClientOid]
    open_symbols=("privateGetHfOrdersActiveSymbols", ("data", "symbols")), open_page=1000,         # [Get Symbols With Open Order; Get Open Orders]
    ended_page=20,                                             # default limit [Get Closed Orders]
    read_error=_coded("200000"), errors_in_200=True,
    succeeded=lambda document: isinstance(document, dict) and document.get("code") == "200000" and document.get("data") is not None,
    id_max_length=40, times_in_force=IMMEDIATE, post_only=True,
    words=words(
        duplicates=codes("126033", "126044"),                  # Duplicate order; clientOid duplicate
        refusals=AllowList(                                    # [ccxt's table, from the venue's]
            (("200004", "210021", "126013"), ("%s",)),         # Balance insufficient
            (("400001", "400003", "400004", "400005", "400006"), ("%s",)),     # Header, key, passphrase, signature, IP: before anything is done
            (("400200", "400330", "400350", "400370", "400600", "400760", "411100"), ("%s",)),     # Forbidden; price and holding limits; symbol; user frozen
            (("400100",), ("account.available.amount", "Order size below the minimum requirement.", "The quantity is below the minimum requirement.",
                           "price not in the given range!", "Unsupported trading pair.")),
            (("600100",), ("Order size increment invalid.", "Funds below the minimum requirement.")),
            (("600101",), ("The order funds should more then %s",)),
        ),
        time=codes("400002"),                                  # KC-API-TIMESTAMP Invalid
        unknown_order=AllowList((("400100",), ("order_not_exist_or_not_allow_to_cancel", "Order not exist or not allow to be cancelled"))),
        not_found=AllowList((("400100",), ("order not exist", "order not exist.")), (("order_not_exist",), ("order_not_exist",))),
        busy=codes("429000"),                                  # Too many requests
    ),
)


# ── Gate [gate.com/docs/developers/apiv4: Spot; error labels] ───────────────────────────────────────────────────────────────────────────────

def _gate_error(document: Any) -> tuple[str, str] | None:
    if not isinstance(document, dict) or not isinstance(document.get("label"), str):
        return None
    return document["label"], str(document.get("message") or document.get("detail") or "")


GATE = Row(
    exchange_id="gate", market_type="spot", options={"unifiedAccount": False, "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}},
    id_codec="hex28", id_max_length=28,                        # t- and up to 28 bytes [Create an order, text]
    id_sent=str, id_written=lambda ours: f"t-{ours}", id_read=lambda theirs: theirs.removeprefix("t-"),
    cancel_by=lambda written, symbol: ("cancel_order", (written, symbol)),     # in the id's place [Cancel a single order]; the unified key is ignored [ccxt]
    read_error=_gate_error, succeeded=lambda document: isinstance(document, dict | list) and document != {},
    time_header="x-gate-exptime", window_ms=WINDOW_MS, expiry_check=ExpiryCheck.ON_ARRIVAL,        # [Create an order, header parameters]
    open_page=100,                                             # per pair and page [List all open orders]
    times_in_force=IMMEDIATE, post_only=True,
    words=words(
        duplicates=codes("REPEATED_CREATION"),
        refusals=codes(                                        # [labels of the error list]
            "BALANCE_NOT_ENOUGH", "INVALID_PRECISION", "INVALID_CURRENCY_PAIR", "AMOUNT_TOO_LITTLE", "AMOUNT_TOO_MUCH", "POC_FILL_IMMEDIATELY",
            "QUANTITY_NOT_ENOUGH", "INVALID_KEY", "INVALID_SIGNATURE", "IP_FORBIDDEN", "READ_ONLY", "FORBIDDEN", "ACCOUNT_LOCKED", "TRADE_RESTRICTED",
            "TOO_MANY_ORDERS", "PRICE_TOO_DEVIATED",
        ),
        time=codes("REQUEST_EXPIRED"),
        unknown_order=codes("ORDER_NOT_FOUND", "ORDER_CLOSED", "ORDER_CANCELLED", "CLIENT_ID_NOT_FOUND"),
        busy=codes("TOO_FAST", "TOO_MANY_REQUESTS", "TOO_BUSY"),
    ),
)


# ── Bitget [bitget.com/api-doc: Spot, Trade; error codes] ───────────────────────────────────────────────────────────────────────────────────

BITGET = Row(
    exchange_id="bitget", market_type="spot", options={"uta": False, "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "broker": ""},
    cancel_by=_cancel, lookup_by=_lookup,                      # clientOid [Cancel Order; Get Order Info]
    ended=("fetch_canceled_and_closed_orders",), trades_by="orderId", open_page=100,
    account_method="privateSpotGetV2SpotAccountInfo", account_number=("data", "userId"),           # [Get Account Information]
    read_error=_coded("00000"), errors_in_200=True,
    succeeded=lambda document: isinstance(document, dict) and document.get("code") == "00000" and document.get("data") is not None,
    id_max_length=32, duplicates=DuplicateIdsRefused.WHILE_OPEN, times_in_force=IMMEDIATE, post_only=True,
    words=words(
        duplicates=codes("40786", "40708", "43118", "45034", "50060", "25212"),        # Duplicate clientOid, in six places
        refusals=codes("43012", "45110", "40006", "40009", "40012", "40014", "40018"), # Balance; minimum; key, signature, passphrase, permissions, IP
        time=codes("40005", "40008"),                          # Invalid timestamp; request timestamp expired
        unknown_order=codes("43001"),                          # The order does not exist
        not_found=codes("43001"),
        busy=codes("429"),                                     # Too many requests
    ),
)

# ── Binance USDⓈ-M futures [developers.binance.com: Derivatives, Error Codes, New Order, Query Order] ───────────────────────────────────────

BINANCE_USDM = Row(
    exchange_id="binanceusdm", market_type="swap", trades_by="orderId",
    options={"recvWindow": WINDOW_MS, "fetchMarkets": {"types": ["linear"]}, "fetchCurrencies": False, "fetchMargins": False, "defaultType": "swap",
             "timeDifference": 0, "adjustForTimeDifference": False, "warnOnFetchOpenOrdersWithoutSymbol": False},
    market_params={}, cancel_by=_cancel, lookup_by=_lookup,    # origClientOrderId [Cancel Order; Query Order]
    ended=("fetch_orders",), ended_page=500, open_page=500,    # [All Orders, default limit]
    read_error=binance_error, succeeded=lambda document: isinstance(document, dict | list) and document != {},
    window_ms=WINDOW_MS, expiry_check=ExpiryCheck.ON_ARRIVAL,  # recvWindow [General Info, Timing Security]; no word of the engine
    id_max_length=36, duplicates=DuplicateIdsRefused.WHILE_OPEN,        # unique among open orders [New Order, newClientOrderId]
    retention_ms=72 * HOUR_MS,                                 # cancelled without a fill: three days [Query Order]
    times_in_force=IMMEDIATE, post_only=True, reduce_only=True,
    words=words(
        duplicates=AllowList((("-4116",), ("%s",)), (("-2010",), ("Duplicate order sent.",))),
        refusals=codes(
            "-1022", "-2014", "-2015",         # Signature, key: before anything is done
            "-1111", "-1121",                  # Precision; symbol
            "-2018", "-2019",                  # Balance, margin is insufficient
            "-2021", "-2022",                  # Would trigger at once; reduce-only is rejected
            "-4003", "-4005", "-4014", "-4016", "-4023", "-4024", "-4131", "-4164",      # Quantity, price steps and limits, percent price, notional
            "-5022",                           # Post-only would take
        ),
        time=codes("-1021"),
        unknown_order=AllowList((("-2011",), ("Unknown order sent.",)), (("-2013",), ("Order does not exist.",))),
        not_found=AllowList((("-2013",), ("Order does not exist.",))),
        busy=codes("-1003", "-1015"),
    ),
)


# ── Deribit [docs.deribit.com: JSON-RPC, private/buy; RPC Error Codes] ──────────────────────────────────────────────────────────────────────

def _deribit_error(document: Any) -> tuple[str, str] | None:
    match document:
        case {"error": {"code": int(code), "message": str(message)}}:
            return str(code), message
    return None


DERIBIT = Row(
    exchange_id="deribit", market_type="swap", send_as="label",        # a tag of 64 characters, and no more: nothing refuses a second [private/buy]
    id_in="label", options={"defaultType": "swap"}, settle="BTC", read_error=_deribit_error,      # one currency a list [private/get_open_orders_by_currency]
    succeeded=lambda document: isinstance(document, dict) and "result" in document,
    ended_page=20, open_page=20, times_in_force=IMMEDIATE, post_only=True, reduce_only=True, market_params={},
    words=words(
        refusals=AllowList(
            (("10002",), ("qty_too_low",)), (("10003",), ("order_overlap",)),
            (("10009",), ("not_enough_funds",)), (("11054",), ("post_only_reject",)),
            (("13004",), ("invalid_credentials",)), (("13021",), ("forbidden",)),
        ),
        unknown_order=AllowList((("10004",), ("order_not_found",)), (("11044",), ("not_open_order",))),
        busy=codes("10028"),                   # too_many_requests
    ),
)

# ── Hyperliquid [hyperliquid.gitbook.io: API, Exchange endpoint; Error responses] ───────────────────────────────────────────────────────────

def _hyperliquid_error(document: Any) -> tuple[str, str] | None:
    match document:
        case {"status": "ok", "response": {"data": {"statuses": [{"error": str(message)}]}}}:
            return "order", message
        case {"status": "err", "response": str(message)}:
            return "err", message
        case {"status": "unknownOid"}:
            return "unknownOid", ""
    return None


#: One of these is in every answer that is no list: of the exchange endpoint and a lookup, the balance, the time.
HYPERLIQUID_KEYS = {"status", "assetPositions", "balances", "time"}

HYPERLIQUID = Row(
    exchange_id="hyperliquid", market_type="swap", options={"defaultType": "swap"},
    skips=("initialize_client",),                              # which would approve a fee for ccxt's builder, and set its referrer
    id_written=lambda ours: f"0x{ours}", id_read=lambda theirs: theirs.removeprefix("0x"),        # cloid: 128 bits in hex [Place an order]
    cancel_by=_cancel, lookup_by=_lookup,                      # [Cancel order(s) by cloid; Info endpoint, Query order status by oid or cloid]
    ended=("fetch_orders",), ended_page=2000, open_page=1000,  # [Info endpoint, historical orders: 2000 at most]
    read_error=_hyperliquid_error, errors_in_200=True,
    succeeded=lambda document: isinstance(document, list) or (isinstance(document, dict) and not HYPERLIQUID_KEYS.isdisjoint(document)),
    times_in_force=frozenset({"GTC", "IOC"}), post_only=True, reduce_only=True,        # [Order types: Gtc, Ioc, Alo]
    words=words(
        refusals=AllowList((("order",), (                      # [Error responses]
            "Price must be divisible by tick size.%s", "Order must have minimum value of %s", "Insufficient margin to place order.%s",
            "Reduce only order would increase position.%s", "Post only order would have immediately matched, bbo was %s",
            "Order could not immediately match against any resting orders.%s", "Invalid TP/SL price.%s", "No liquidity available for market order.%s",
            "Order has invalid size.%s", "Order has zero size.%s",
        ))),
        unknown_order=AllowList((("order",), ("Order was never placed, already canceled, or filled.%s",))),
        not_found=AllowList((("unknownOid",), ("",))),
    ),
)

ROWS = {(row.exchange_id, row.market_type): row for row in (
    _okx("spot"), _okx("swap"), _bybit("spot"), _bybit("swap"), KRAKEN, COINBASE, KUCOIN, GATE, GATE_SWAP, BITGET, BINANCE_USDM, HYPERLIQUID, DERIBIT,
)}
