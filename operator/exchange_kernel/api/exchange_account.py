"""ExchangeAccount: an account at an exchange, how it is reached and what may be done with it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import StrictBool, StrictInt, StringConstraints

from exchange_kernel.api.base import (
    INT32_MAX,
    Asset,
    Column,
    Identifier,
    Kind,
    ObjectName,
    Resource,
    Spec,
    Status,
    field,
    forbidden,
    immutable,
    required,
)
from exchange_kernel.api.conditions import MAX_CONDITIONS, Condition
from exchange_kernel.api.money import NonNegativeDecimal
from exchange_kernel.api.order_terms import Symbol

ExchangeId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern="^[a-z0-9]+$")]
ProxyAddress = Annotated[str, StringConstraints(max_length=512, pattern="^http://[^ \\t\\r\\n/?#@]+/?$")]
RestAddress = Annotated[str, StringConstraints(max_length=512, pattern="^https?://[^ \\t\\r\\n/?#@]+(/[^ \\t\\r\\n?#]*)?$")]
WebsocketAddress = Annotated[str, StringConstraints(max_length=512, pattern="^wss?://[^ \\t\\r\\n/?#@]+(/[^ \\t\\r\\n?#]*)?$")]
Source = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=128)]


# ── What is wanted ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class Environment(StrEnum):
    LIVE = "Live"
    SANDBOX = "Sandbox"
    SIMULATED = "Simulated"


class MarketType(StrEnum):
    SPOT = "Spot"
    MARGIN = "Margin"
    SWAP = "Swap"
    FUTURE = "Future"
    OPTION = "Option"


class TradingMode(StrEnum):
    ENABLED = "Enabled"
    REDUCE_ONLY = "ReduceOnly"
    CANCEL_ONLY = "CancelOnly"


class SendPolicy(StrEnum):
    SEND_FIRST = "SendFirst"
    WRITE_AHEAD = "WriteAhead"


class OrphanPolicy(StrEnum):
    REPORT = "Report"
    CANCEL = "Cancel"


class SecretRef(Spec):
    """A Secret in the same namespace."""

    name: ObjectName = field("Name of the Secret.")


class Endpoint(Spec):
    """Addresses of the exchange, where it is not as ccxt knows it, and the proxy to it.

    The exchange is then behind a gateway, or a simulated one. Its own paths are appended to an address.
    """

    rest: RestAddress | None = field("Base address of the REST API.", default=None, examples=["https://gateway.example.com/binance"])
    websocket: WebsocketAddress | None = field("Base address of the WebSocket API.", default=None, examples=["wss://gateway.example.com/binance"])
    proxy: ProxyAddress | None = field(
        "Forward proxy through which the exchange is reached, REST and WebSocket. What is encrypted goes through it as a tunnel (CONNECT). Absent: the "
        "operator's own, if it has one.", default=None, examples=["http://proxy.example.com:3128"])
    ca_secret_ref: SecretRef | None = field("Secret whose key ca.crt holds the CA to trust for these addresses.", default=None)


class RateLimit(Spec):
    """How much of the exchange's allowance to use."""

    requests_per_second: StrictInt | None = field("Most requests a second; absent: what the exchange allows.", default=None, minimum=1, maximum=10_000)
    cancel_reserve_percent: StrictInt = field("Share of the allowance that only cancels and lookups may use.", default=20, minimum=0, maximum=90)


#: Hosts to which a plain connection does not leave the machine or the cluster.
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NEAR = rf"(localhost|127\.0\.0\.1|\[::1\]|{_LABEL}\.{_LABEL}\.svc(\.cluster\.local)?)(:[0-9]+)?(/|$)"


def _encrypted(name: str, scheme: str) -> str:
    """CEL: this address is encrypted, or need not be."""
    return (f"self.environment == 'Simulated' || !has(self.endpoint) || !has(self.endpoint.{name}) || "
            f"self.endpoint.{name}.matches(r'^({scheme}s://|{scheme}://{_NEAR})')")


class ExchangeAccountSpec(Spec):
    """How the account is reached and what may be done with it."""

    exchange: ExchangeId = field("The exchange, by ccxt's id. Can't be changed.", examples=["binance"])
    environment: Environment = field(
        "Live trades with real money. Sandbox is the exchange's own test environment. Simulated is the simulated exchange, at endpoint. Can't be changed.")
    market_type: MarketType = field("Which of the exchange's markets the account trades on. Can't be changed.", default=MarketType.SPOT)
    endpoint: Endpoint | None = field("Where the exchange is, if not where ccxt knows it to be.", default=None)
    credentials_secret_ref: SecretRef = field(
        "Secret in the same namespace with the keys that the exchange asks for, as ccxt names them: apiKey, secret, password, uid, privateKey, walletAddress.")
    trading_mode: TradingMode = field(
        "The kill switch. Enabled: everything. ReduceOnly: only orders that make positions smaller. CancelOnly: no order is sent. Cancels and lookups always "
        "pass. No send starts once status.tradingMode shows the mode.", default=TradingMode.ENABLED)
    send_policy: SendPolicy = field(
        "SendFirst: a new order is sent at once and written after, where the exchange makes that safe. WriteAhead: it is always written first, at the cost of "
        "one API write before the send.", default=SendPolicy.SEND_FIRST)
    rate_limit: RateLimit | None = field("How much of the exchange's allowance to use.", default=None)
    fee_asset: Asset | None = field(
        "Asset in which the exchange takes all fees of this account, such as BNB on Binance. Absent: a purchase on spot is taken to bring its quantity less "
        "the fee, until its executions tell what it was.", default=None, examples=["BNB"])
    symbols: list[Symbol] = field("Markets that may be traded; empty: all.", max_items=256, unique=True)
    resync_seconds: StrictInt = field(
        "How often all orders of the account are read and compared, besides the private stream.", default=60, minimum=1, maximum=86_400)
    orphan_policy: OrphanPolicy = field(
        "What to do with an order that this installation placed and no OrderIntent explains. Report: show it. Cancel: cancel it.", default=OrphanPolicy.REPORT)

    rules = (
        required("self.environment != 'Simulated' || (has(self.endpoint) && has(self.endpoint.rest))",
                 "a simulated account needs the simulated exchange's address: set spec.endpoint.rest", at="endpoint"),
        forbidden(_encrypted("rest", "http"),
                  "a plain http address would send credentials in the open: use https (http is allowed for Simulated, localhost and NAME.NAMESPACE.svc)",
                  at="endpoint"),
        forbidden(_encrypted("websocket", "ws"),
                  "a plain ws address would send credentials in the open: use wss (ws is allowed for Simulated, localhost and NAME.NAMESPACE.svc)",
                  at="endpoint"),
        *immutable("exchange", "environment", "marketType", instead="create a new ExchangeAccount"),
    )


# ── What is ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class DuplicateIdsRefused(StrEnum):
    NEVER = "Never"
    WHILE_OPEN = "WhileOpen"
    ALWAYS = "Always"


class LookupAuthority(StrEnum):
    AUTHORITATIVE = "Authoritative"
    LISTING = "Listing"
    NONE = "None"


class ExpiryCheck(StrEnum):
    NONE = "None"
    ON_ARRIVAL = "OnArrival"
    BY_ENGINE = "ByEngine"


class AmendQuantity(StrEnum):
    NONE = "None"
    TOTAL = "Total"
    DECREASE = "Decrease"
    REMAINING = "Remaining"


class ReplaceKind(StrEnum):
    NONE = "None"
    FILL_AWARE = "FillAware"
    NOT_FILL_AWARE = "NotFillAware"


class AccountCapabilities(Status):
    """What the exchange can do and promises, as the operator counts on it. Times are the exchange's."""

    client_order_id_codec: Word = field("How our order ids are written for this exchange.")
    client_order_id_max_length: StrictInt = field("Longest client order id it takes.", minimum=0, maximum=INT32_MAX)
    client_order_id_pattern: Pattern | None = field("What a client order id may be, as a regular expression; absent: not documented.", default=None)
    duplicate_ids_refused: DuplicateIdsRefused = field("Whether it refuses a client order id that it has seen: Never, WhileOpen or Always.")
    lookup: LookupAuthority = field(
        "How an order is found by client order id. Authoritative: a lookup finds every order it remembers. Listing: only by going through lists. "
        "None: not at all.")
    lookup_delay_milliseconds: StrictInt = field("An accepted order can be found within this time.", minimum=0)
    request_window_milliseconds: StrictInt = field("A request older than this is refused; 0: it refuses none, and absence can't be proved.", minimum=0)
    request_expiry_parameter: Word | None = field("The exchange's name for that limit; absent: it has none that is used.", default=None)
    accepts_ahead_milliseconds: StrictInt = field("How far ahead of its clock it accepts a request's time.", minimum=0)
    expiry_check: ExpiryCheck = field("Where it checks a request's age: ByEngine, only OnArrival, or not at all (None).")
    retention_seconds: StrictInt = field("Shortest time for which an ended order can still be found: one that was never filled.", minimum=0)
    filled_retention_seconds: StrictInt | None = field("The same of filled orders; absent: not documented.", default=None, minimum=0)
    order_history_seconds: StrictInt | None = field("How far back its lists of orders go; absent: not documented.", default=None, minimum=0)
    trade_history_seconds: StrictInt | None = field("How far back its lists of executions go; absent: not documented.", default=None, minimum=0)
    amend: AmendQuantity = field(
        "What quantity means when an order is amended in place: Total or Remaining. Decrease: the total, which can only be lowered, and nothing else. "
        "None: it can't amend.")
    replace: ReplaceKind = field(
        "How it cancels an order and places its replacement in one request. FillAware: the replacement is smaller by what the order filled meanwhile. "
        "NotFillAware: it is not, so this is not used. None: it can't.", default=ReplaceKind.NONE)
    cancel_by_client_id: StrictBool = field("Whether an order can be cancelled by its client order id.")
    order_types: list[Word] = field("Types of spec.type that can be used.", max_items=32, unique=True)
    times_in_force: list[Word] = field("Values of spec.timeInForce that can be used.", max_items=16, unique=True)
    post_only: StrictBool = field("Whether executionPolicy PostOnly can be used.")
    reduce_only: StrictBool = field("Whether positionEffect ReduceOnly can be used.")
    trigger_price_types: list[Word] = field("Values of spec.triggerPriceType that can be used.", max_items=8, unique=True)
    trailing_units: list[Word] = field("Values of spec.trailing.unit that can be used.", max_items=8, unique=True)
    hedge_mode: StrictBool = field("Whether orders say by spec.positionSide which of a market's two positions they act on.", default=False)
    native_groups: list[Word] = field("Modes of an OrderGroup that the exchange keeps itself.", max_items=8, unique=True)
    max_open_orders_listed: StrictInt | None = field(
        "A list of so many open orders is taken for cut short; absent: the exchange lists all.", default=None, minimum=1, maximum=INT32_MAX)
    max_batch_create: StrictInt = field("Most orders it takes in one request; 0: one, or not documented. Not used.", default=0, minimum=0, maximum=INT32_MAX)
    max_batch_cancel: StrictInt = field("Most orders it cancels in one request; 0: one, or not documented. Not used.", default=0, minimum=0, maximum=INT32_MAX)
    taker_fee: NonNegativeDecimal | None = field("The account's fee for what takes liquidity, as a share; absent: the exchange does not say.", default=None)
    dead_man_switch: StrictBool = field(
        "Whether it can be told to cancel all orders if nobody is heard of for a while. Not used: an operator that is gone leaves its orders.", default=False)


class ExchangeAccountStatus(Status):
    """The account as the operator sees it."""

    observed_generation: StrictInt = field("metadata.generation this status answers; -1: not looked at yet.", default=-1, minimum=-1)
    holder: Identifier | None = field("The operator process that acts for this account.", default=None)
    fingerprint: Identifier | None = field(
        "Which account at the exchange this is. Written once: other credentials or another endpoint that lead elsewhere stop all sends.", default=None)
    fingerprint_source: Source | None = field(
        "Where that was learned. Exchange: at the exchange's own hosts, or through an endpoint that the operator allows. Else the address of the simulated "
        "exchange. EndpointNotAllowed: where the operator sends nothing any more. Of two objects with the same fingerprint and source one may trade.",
        default=None)
    trading_mode: TradingMode | None = field("The trading mode in force: no send starts that it does not allow.", default=None)
    capabilities: AccountCapabilities | None = field("What the exchange can do, as the operator counts on it.", default=None)
    open_intents: StrictInt | None = field(
        "OrderIntents on this account that are not finished, as the last sweep counted them.", default=None, minimum=0, maximum=INT32_MAX)
    unattributed_fills: StrictInt | None = field(
        "Executions on this account that no OrderIntent explains, though the order was ours.", default=None, minimum=0, maximum=INT32_MAX)
    orphan_orders: StrictInt | None = field(
        "Open orders that this installation placed and no OrderIntent explains, by two readings in a row. See spec.orphanPolicy.",
        default=None, minimum=0, maximum=INT32_MAX)
    external_orders: StrictInt | None = field(
        "Open orders that somebody else placed on this account. They are left alone.", default=None, minimum=0, maximum=INT32_MAX)
    conditions: list[Condition] = field(
        "Ready (orders are sent), Stalled (it can't be opened as spec has it), Connected (the exchange answers), CredentialsValid, ClockSynced (its time is "
        "known), Synced (the last sweep read everything) and OrphanOrders (there are open orders of ours that no OrderIntent explains).",
        max_items=MAX_CONDITIONS, key="type")


# ── The kind ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

class ExchangeAccount(Kind):
    """An account at an exchange. OrderIntents in the same namespace trade on it."""

    kind: Literal["ExchangeAccount"] = "ExchangeAccount"
    spec: ExchangeAccountSpec = field("How the account is reached and what may be done with it.")
    status: ExchangeAccountStatus = field("The account as the operator sees it.", default=ExchangeAccountStatus())

    resource = Resource(
        plural="exchangeaccounts", singular="exchangeaccount", short_names=("xa",),
        columns=(
            Column("Exchange", ".spec.exchange", "The exchange."),
            Column("Environment", ".spec.environment", "Live, Sandbox or Simulated."),
            Column("Market", ".spec.marketType", "Which of its markets."),
            Column("Mode", ".status.tradingMode", "Trading mode in force."),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether orders are sent."),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', "Why it is Ready or not."),
            Column("Open", ".status.openIntents", "OrderIntents that are not finished.", type="integer"),
            Column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date"),
            Column("Connected", '.status.conditions[?(@.type=="Connected")].status', "Whether the exchange answers.", wide=True),
            Column("Credentials", '.status.conditions[?(@.type=="CredentialsValid")].status', "Whether it takes the credentials.", wide=True),
            Column("Clock", '.status.conditions[?(@.type=="ClockSynced")].status', "Whether its time is known.", wide=True),
            Column("Synced", '.status.conditions[?(@.type=="Synced")].status', "Whether the last sweep read everything.", wide=True),
            Column("Unattributed", ".status.unattributedFills", "Executions that no OrderIntent explains.", type="integer", wide=True),
            Column("Orphans", ".status.orphanOrders", "Open orders of ours that no OrderIntent explains.", type="integer", wide=True),
            Column("External", ".status.externalOrders", "Open orders that somebody else placed.", type="integer", wide=True),
            Column("Holder", ".status.holder", "Operator process that acts for it.", wide=True),
            Column("Fingerprint", ".status.fingerprint", "Which account at the exchange.", wide=True),
        ),
        selectable=(".spec.exchange", ".spec.environment", ".spec.tradingMode", ".status.fingerprint"),
    )
