"""The faults by name: what each does, and the command that sets it. Data: the docs' table and `--fault` are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from exchange_kernel.exchanges.simulated.commands import FAULT, Fault
from exchange_kernel.exchanges.simulated.faults import Match


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    what: str                                           # what a client meets
    command: Mapping[str, Any]
    endpoint: str = "faults"                            # of /control; what is set elsewhere than at faults names an order or a market


SUBMIT, CANCEL = {"on": "submit"}, {"on": "cancel"}
UNKNOWN_STATUS = '{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status unknown; execution status unknown."}'
MAINTENANCE = '{"code":1,"msg":"System is under maintenance."}'
OVERLOADED = '{"code":-1008,"msg":"Server is currently overloaded with other requests. Please try again in a few minutes."}'
INTERNAL = '{"code":-1000,"msg":"An unknown error occurred while processing the request."}'
TOO_MANY = '{"code":-1003,"msg":"Too many requests; current limit is 6000 requests per minute. Please use WebSocket Streams to avoid polling the API."}'
BANNED = '{"code":-1003,"msg":"Way too many requests; IP banned. Please use WebSocket Streams to avoid bans."}'

PRESETS: tuple[Preset, ...] = (
    # What happens to one request. `on` names another class, and `count` how many.
    Preset("accept-then-drop", "it is done, and the connection drops before the reply", {"do": "drop-reply", "match": SUBMIT}),
    Preset("accept-then-late-reply", "it is done, and the reply comes `ms` later", {"do": "delay-reply", "ms": 15_000, "match": SUBMIT}),
    Preset("accept-then-502", "it is done, and a gateway answers with a page", {"do": "status", "status": 502, "match": SUBMIT}),
    Preset("accept-then-504", "it is done, and a gateway gave up waiting", {"do": "status", "status": 504, "match": SUBMIT}),
    Preset("accept-then-1007", "it is done, and the venue does not know that", {"do": "status", "status": 504, "body": UNKNOWN_STATUS, "match": SUBMIT}),
    Preset("accept-then-garbage", "it is done, and a 200 has a page in it", {"do": "garbage", "match": SUBMIT}),
    Preset("accept-then-truncated", "it is done, and the reply breaks off in the middle", {"do": "truncate", "match": SUBMIT}),
    Preset("accept-then-empty", "it is done, and a 200 has nothing in it", {"do": "empty", "match": SUBMIT}),
    Preset("refuse-then-drop", "it is not done, and the connection drops before the refusal", {"do": "drop-reply", "accepted": False, "match": SUBMIT}),
    Preset("refuse-then-502", "it is not done, and a gateway answers with a page", {"do": "status", "status": 502, "accepted": False, "match": SUBMIT}),
    Preset("lost-request", "it never reaches the venue, and the connection drops", {"do": "drop-request", "match": SUBMIT}),
    Preset("hang", "no answer, and nothing done", {"do": "hang", "match": SUBMIT}),
    Preset("backlog", "it passes the check of its window on arrival, and is matched `ms` later", {"do": "delay-match", "ms": 6000, "match": SUBMIT}),
    Preset("slow-arrival", "it waits `ms` in front of the check of its window", {"do": "delay-before", "ms": 6000, "match": SUBMIT}),
    Preset("internal-error", "it is not done, and the venue says -1000", {"do": "status", "status": 500, "body": INTERNAL, "accepted": False, "match": SUBMIT}),
    Preset("fill-during-cancel", "the order fills, by `fraction` of what is left, before its cancel is looked at", {"do": "fill-first", "match": CANCEL}),
    Preset("cancel-lost", "the venue says that it cancelled, and did not", {"do": "pretend", "match": CANCEL}),
    Preset("cancel-unheard", "the venue cancels, and the connection drops before the reply", {"do": "drop-reply", "match": CANCEL}),
    # What happens to all requests, until it is lifted.
    Preset("rate-limited", "429 with Retry-After, and nothing done",
           {"do": "status", "status": 429, "body": TOO_MANY, "headers": {"Retry-After": "5"}, "match": {}, "count": None}),
    Preset("banned", "418 with Retry-After, and nothing done",
           {"do": "status", "status": 418, "body": BANNED, "headers": {"Retry-After": "120"}, "match": {}, "count": None}),
    Preset("maintenance", "503 in the venue's words, and nothing done",
           {"do": "status", "status": 503, "body": MAINTENANCE, "accepted": False, "match": {}, "count": None}),
    Preset("overloaded", "503 with -1008, and nothing done",
           {"do": "status", "status": 503, "body": OVERLOADED, "accepted": False, "match": {}, "count": None}),
    Preset("silence", "connections stand, and nothing is answered", {"do": "silence", "mode": "hang"}),
    Preset("refused-connections", "nobody listens", {"do": "silence", "mode": "refuse"}),
    # What reads show.
    Preset("not-found-yet", "orders and trades show `ms` after they are there", {"do": "visibility-delay", "ms": 5000}),
    Preset("lists-truncated", "lists end after `keep` entries, as if that were all", {"do": "reads", "keep": 1}),
    Preset("lists-stale", "lists are `staleMs` old", {"do": "reads", "staleMs": 5000}),
    Preset("lagging-replicas", "each read is of a moment up to `lagMs` ago, another one each time", {"do": "reads", "lagMs": 5000}),
    Preset("purged-history", "what ended more than `purgedMs` ago is gone from lookups and lists", {"do": "reads", "purgedMs": 5000}),
    Preset("trades-missing", "lists lack trades, each with this probability", {"do": "reads", "tradesMissing": 1.0}),
    Preset("trades-late", "lists show trades `tradesLateMs` after they happened", {"do": "reads", "tradesLateMs": 5000}),
    Preset("trades-duplicated", "lists have trades twice, each with this probability", {"do": "reads", "tradesDuplicated": 1.0}),
    # What happens to streams.
    Preset("stream-silent", "the connection stands, and nothing comes: no event, no pong", {"do": "unreliable-stream", "silent": True}),
    Preset("stream-dropping", "events get lost", {"do": "unreliable-stream", "loss": 0.5}),
    Preset("stream-duplicating", "events come twice", {"do": "unreliable-stream", "duplication": 0.5}),
    Preset("stream-reordering", "events are overtaken by the next", {"do": "unreliable-stream", "reordering": 0.5}),
    Preset("stream-stale", "older events are told again", {"do": "unreliable-stream", "staleness": 0.5}),
    Preset("stream-late", "events come `lateMs` after they happened", {"do": "unreliable-stream", "lateMs": 2000}),
    Preset("stream-without-trades", "executions are not told, and all else is", {"do": "unreliable-stream", "loss": 1.0, "tradesOnly": True}),
    Preset("stream-late-trades", "executions come `lateMs` later than all else", {"do": "unreliable-stream", "lateMs": 2000, "tradesOnly": True}),
    Preset("stream-twice-told-trades", "executions come twice", {"do": "unreliable-stream", "duplication": 1.0, "tradesOnly": True}),
    Preset("stream-disconnected", "streams break off without a goodbye", {"do": "disconnect-stream"}),
    Preset("stream-terminated", "subscriptions end and say so; the connections stay", {"do": "terminate-stream"}),
    Preset("stream-closed", "streams are closed with the venue's goodbye", {"do": "close-stream"}),
    # The venue itself.
    Preset("ids-reused", "a second order is taken under the id of one that is open", {"do": "reuse-ids"}),
    Preset("clock-skew", "the venue's clock is `ms` ahead, or behind where it is negative", {"do": "clock-skew", "ms": 3_600_000}),
    Preset("second-account", "another account behind the same address and its one limit", {"do": "second-account"}),
    Preset("both-legs-filled", "two orders fill before anything is told of either",
           {"fills": [{"clientOrderId": "…"}, {"clientOrderId": "…"}]}, endpoint="market"),
    Preset("cancelled-by-venue", "the venue ends an order by itself", {"expire": {"clientOrderId": "…"}}, endpoint="market"),
    Preset("trade-bust", "the venue takes a trade back: it leaves the lists, and the order has less filled",
           {"bust": {"symbol": "BTC/USDT", "tradeId": 1}}, endpoint="market"),
    Preset("market-halted", "a market takes no new orders until its status is TRADING again; cancels go on",
           {"change": {"symbol": "BTC/USDT", "status": "BREAK"}}, endpoint="market"),
    Preset("filters-changed", "a market has another price step, quantity step or smallest order; what rests there stays as it is",
           {"change": {"symbol": "BTC/USDT", "tick": "0.5", "step": "0.001", "minQuantity": "0.001"}}, endpoint="market"),
    Preset("market-delisted", "a market leaves the list and takes no new orders; those that are there can be asked for and cancelled",
           {"change": {"symbol": "BTC/USDT", "listed": False}}, endpoint="market"),
)

BY_NAME: Mapping[str, Preset] = {preset.name: preset for preset in PRESETS}


def read_fault(text: str) -> Fault:
    """`text` is JSON as the control endpoint takes it, or a name with `,key=value` behind it. Raises ValueError with a sentence for people."""
    if text.lstrip().startswith("{"):
        return _valid(text, text)
    name, *said = text.split(",")
    preset = BY_NAME.get(name.strip())
    if preset is None:
        raise ValueError(f"{name.strip()!r} is no fault: there are {', '.join(one.name for one in PRESETS if one.endpoint == 'faults')}")
    if preset.endpoint != "faults":
        raise ValueError(f"{preset.name} is not set at the start: POST {orjson.dumps(preset.command).decode()} to /control/{preset.endpoint} once it is time")
    command: dict[str, Any] = {**preset.command}
    for one in said:
        key, separator, value = (part.strip() for part in one.partition("="))
        if not separator:
            raise ValueError(f"{one.strip()!r} in {text!r}: write key=value, as in {preset.name},count=3")
        if "match" in command and key in Match.model_fields:
            command["match"] = {**command["match"], key: value}
        else:
            command[key] = _value(value)
    return _valid(orjson.dumps(command), text)


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _valid(document: str | bytes, text: str) -> Fault:
    try:
        return FAULT.validate_json(document)
    except ValidationError as wrong:
        problems = "; ".join(f"{'.'.join(map(str, error['loc'][1:])) or error['loc'] or 'it'}: {error['msg']}" for error in wrong.errors())
        raise ValueError(f"{text!r}: {problems}") from None
