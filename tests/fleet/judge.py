"""What each strategy was told, against the intents that there are and the exchange's own ledger. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Document = Mapping[str, Any]

ZERO = Decimal(0)
STRATEGY_LABEL = "exchange-kernel.io/strategy"
FAULTS = ("foreign", "out of order", "missing fills", "missing ends", "resyncs unmarked", "lost", "doubled", "contradictions", "unclear errors")

#: What an order of each kind may end as. What is refused never became an order at the exchange.
ENDS = {"bought": {"Filled"}, "sold": {"Filled"}, "rested": {"Filled"}, "canceled": {"Canceled"}, "found nothing": {"Canceled", "Expired"}, "refused": {"Rejected"}}
TERMINAL = {"Filled", "Canceled", "Expired", "Rejected", "Denied"}
EXECUTIONS = {"PartiallyFilled", "Filled"}
FIRST = {"Accepted", "OutcomeUnknown"}
AFTER_THE_END = {"FillExplained"}               # what an inferred fill had counted


@dataclass
class Notes:
    """Of one strategy."""

    strategy: str
    orders: list[Document] = field(default_factory=list)
    events: list[Document] = field(default_factory=list)
    done: Document | None = None

    @classmethod
    def of(cls, strategy: str, lines: Iterable[Document]) -> Notes:
        notes = cls(strategy)
        for line in lines:
            if "order" in line:
                notes.orders.append(line["order"])
            elif "event" in line:
                notes.events.append(line["event"])
            else:
                notes.done = line["done"]
        return notes


@dataclass
class Verdict:
    counts: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    events: int = 0
    repeated: int = 0
    resyncs: int = 0

    def found(self, fault: str, whose: str, what: str) -> None:
        self.counts[fault] += 1
        self.told.append(f"{fault}: {whose}: {what}")

    @property
    def clean(self) -> bool:
        return not self.counts

    def line(self) -> str:
        return f"events: {self.events}  told twice: {self.repeated}  resyncs: {self.resyncs}  " + "  ".join(f"{fault}: {self.counts[fault]}" for fault in FAULTS)


def judge(fleet: Iterable[Notes], intents: Iterable[Document], ledger: Document) -> Verdict:
    """`intents`: all OrderIntents of the namespace; `ledger`: the exchange's."""
    verdict = Verdict()
    orders, trades = defaultdict(list), defaultdict(list)
    for order in ledger["orders"]:
        orders[order["clientOrderId"]].append(order)
    for trade in ledger["trades"]:
        trades[trade["clientOrderId"]].append(trade)
    of_strategy: dict[str, dict[str, Document]] = defaultdict(dict)
    explained = set()
    for intent in intents:
        of_strategy[intent["metadata"]["labels"][STRATEGY_LABEL]][intent["metadata"]["name"]] = intent
        explained.add((intent.get("status") or {}).get("clientOrderId"))
    for stranger in orders.keys() - explained:
        verdict.found("doubled", stranger, "an order that is no intent's")
    for notes in fleet:
        mine = of_strategy[notes.strategy]
        _judge_placing(verdict, notes, mine)
        heard: dict[str, list[Document]] = defaultdict(list)
        for event in notes.events:
            heard[event["intent_id"]].append(event)
        for stranger in heard.keys() - mine.keys():
            verdict.found("foreign", notes.strategy, stranger)
        kinds = {order["intent"]: order["kind"] for order in notes.orders}
        for name, intent in mine.items():
            status = intent.get("status") or {}
            client_order_id = status.get("clientOrderId")
            events = _in_order(verdict, name, heard[name])
            _judge_ends(verdict, name, kinds.get(name), status, events, orders[client_order_id])
            _judge_fills(verdict, name, status, events, orders[client_order_id], trades[client_order_id])
    return verdict


def _judge_placing(verdict: Verdict, notes: Notes, mine: Mapping[str, Document]) -> None:
    """Each order that was placed is one intent, and there is no other; and an error says what it means."""
    if notes.done is None:
        verdict.found("lost", notes.strategy, "its process did not come to its end")
    named = set()
    for order in notes.orders:
        if order.get("error") is None and order["intent"] not in mine:
            verdict.found("lost", notes.strategy, f"{order['intent']} was placed, and is not there")
        # An error that leaves nothing open is the exchange's no, or is of an order that never was.
        if order.get("error") is not None and not order["unknown"] and order["kind"] != "refused" and order["intent"] in {None, *mine}:
            verdict.found("unclear errors", notes.strategy, order["error"])
        if order["intent"] in named:
            verdict.found("doubled", notes.strategy, f"two orders were placed as {order['intent']}")
        named.add(order["intent"])
    for name in mine.keys() - named:
        verdict.found("doubled", notes.strategy, f"{name} is there, and no call of place_order told of it")


def _in_order(verdict: Verdict, name: str, heard: list[Document]) -> list[Document]:
    """Each event once. Told again, it is the same event; and nothing is left out."""
    seen: dict[int, Document] = {}
    for event in heard:
        number = event["sequence"]
        if number in seen:
            verdict.repeated += 1
            if {**event, "seen_time": None} != {**seen[number], "seen_time": None}:
                verdict.found("out of order", name, f"two events have the number {number}")
        elif number != len(seen) + 1:
            verdict.found("out of order", name, f"{number} comes after {len(seen)}")
        seen[number] = event
    verdict.events += len(seen)
    events = [seen[number] for number in sorted(seen)]
    gap = False
    for event in events:
        resynced = event["event_type"] == "Resynced"
        verdict.resyncs += resynced
        if resynced and not event["after_gap"]:
            verdict.found("resyncs unmarked", name, "a Resynced without a gap")
        gap = event["after_gap"] and not resynced
        if gap and event is events[-1]:
            verdict.found("resyncs unmarked", name, "a gap and no Resynced after it")
    return events


def _judge_ends(verdict: Verdict, name: str, kind: str | None, status: Document, events: list[Document], orders: list[Document]) -> None:
    told = [event["event_type"] for event in events if event["event_type"] != "Resynced"]
    ends = [each for each in told if each in TERMINAL]
    if len(ends) != 1 or told.count("Finished") != 1:
        verdict.found("missing ends", name, f"{kind}: told {told}, {status.get('state')}")
    elif told[-1] != "Finished" or set(told[told.index(ends[0]) + 1:-1]) - AFTER_THE_END or ("Accepted" in told and told[0] not in FIRST):
        verdict.found("out of order", name, f"{told}")
    if kind is not None and (set(ends) - ENDS[kind] or status.get("state") not in ENDS[kind]):
        verdict.found("contradictions", name, f"{kind}: {ends}, {status.get('state')}")
    if len(orders) > 1:
        verdict.found("doubled", name, f"{len(orders)} orders at the exchange")
    if not orders and kind not in ("refused", "canceled"):         # what is cancelled early enough is never sent
        verdict.found("lost", name, f"{status.get('state')}, and no order at the exchange")
    if any(order["status"] in ("NEW", "PARTIALLY_FILLED") for order in orders):
        verdict.found("contradictions", name, f"{status.get('state')}, and its order lives")


def _judge_fills(verdict: Verdict, name: str, status: Document, events: list[Document], orders: list[Document], trades: list[Document]) -> None:
    executed = sum((Decimal(order["executedQty"]) for order in orders), ZERO)
    if Decimal(status.get("filledQuantity") or 0) != executed:
        verdict.found("contradictions", name, f"{status.get('filledQuantity')} filled in status, {executed} in the ledger")
    filled, ids = ZERO, set()
    for event in events:
        if event["event_type"] in EXECUTIONS | {"FillReversed"}:
            filled += Decimal(event["quantity"]) * (-1 if event["event_type"] == "FillReversed" else 1)
            if Decimal(event["filled_quantity"]) != filled:
                verdict.found("missing fills", name, f"{event['filled_quantity']} said, {filled} added up")
        if event.get("fill"):
            ids.add(event["fill"]["trade_id"])
    if filled != executed:
        verdict.found("missing fills", name, f"{filled} told, {executed} in the ledger")
    if untold := {str(trade["id"]) for trade in trades} - ids:
        verdict.found("missing fills", name, f"trades that no event tells of: {sorted(untold)}")
