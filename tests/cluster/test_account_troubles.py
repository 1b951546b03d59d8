"""Accounts that can't be used, each in its own way: what they say, how little they ask meanwhile, and that they recover alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.operating import API_KEY, API_SECRET, Exchange, settled, status_writes
from tests.support import condition, eventually

WATCHED_S = 12.0
BANNED_S = 40
REQUESTS = 12           # an attempt asks for the time, and then for the account and the markets: at most four attempts in this time, of two or three
STATUS_WRITES = 2


@dataclass(frozen=True)
class Trouble:
    name: str
    spec: dict[str, Any]
    begin: Callable[[Exchange], None]
    condition: str                      # that says it, beside Ready
    reason: str
    words: str                          # what the message has for the person
    mend: Callable[[Exchange], None] | None = None
    ready: bool = False                 # it is told, and orders go on


def nothing(exchange: Exchange) -> None:
    pass


TROUBLES = (
    Trouble("wrong-key", {}, nothing, "CredentialsValid", "Refused", "check the Secret that spec.credentialsSecretRef names"),
    Trouble("half-a-key", {}, nothing, "CredentialsValid", "CredentialsIncomplete", "lacks secret"),
    Trouble("unknown-venue", {"exchange": "cryptopia"}, nothing, "Connected", "UnknownExchange", "docs/exchanges.md has the list"),
    Trouble("refused-venue", {"exchange": "bitfinex"}, nothing, "Connected", "UnsafeExchange", "can't be traded safely"),
    Trouble("nobody-there", {}, lambda exchange: exchange.fault(do="silence", mode="refuse"), "Connected", "Unreachable", "Check spec.endpoint",
            Exchange.heal),
    Trouble("maintenance", {}, lambda exchange: exchange.fault(fault="maintenance"), "Connected", "Unavailable", "It may be in maintenance", Exchange.heal),
    Trouble("banned", {}, lambda exchange: exchange.fault(do="status", status=418, headers={"Retry-After": str(BANNED_S)}, count=None), "Connected", "StayAway",
            "stay away until", Exchange.heal),
    Trouble("wrong-clock", {}, lambda exchange: exchange.shift_clock(3600), "ClockSynced", "Offset", "ahead of the API server's",
            lambda exchange: exchange.shift_clock(0), ready=True),
)


@pytest.fixture
def exchanges(desk, tmp_path) -> Iterator[dict[str, Exchange]]:
    with ExitStack() as stack:
        found = {}
        for trouble in TROUBLES:
            if trouble.spec:                # never asked
                found[trouble.name] = desk.exchange
                continue
            found[trouble.name] = Exchange(tmp_path, name=trouble.name, maker=False)
            stack.callback(found[trouble.name].stop)
        yield found


def secret(name: str, **values: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-keys"}, "stringData": values})


def conditions(trading: Any, name: str, *kinds: str) -> list[dict[str, Any]]:
    account = json.loads(trading.run("get", "xa", name, "-o", "json"))
    return [condition(account, kind) for kind in kinds]


def test_each_trouble_has_its_condition_asks_little_and_is_over_when_it_is_mended(desk, exchanges, audit_log):
    trading, namespace = desk.trading, desk.trading.namespace
    for trouble in TROUBLES:
        trouble.begin(exchanges[trouble.name])
        trading.exchange = exchanges[trouble.name]
        trading.open_account(trouble.name, resyncSeconds=5, **trouble.spec)
    trading.run("apply", "-f", "-", stdin=secret("wrong-key", apiKey="nobodys-key", secret=API_SECRET))
    trading.run("delete", "secret", "half-a-key-keys")
    trading.run("apply", "-f", "-", stdin=secret("half-a-key", apiKey=API_KEY))
    banned = time.monotonic()
    operator = desk.start()
    trading.await_account()

    for trouble in TROUBLES:
        def told(trouble: Trouble = trouble) -> bool:
            said, ready = conditions(trading, trouble.name, trouble.condition, "Ready")
            assert (said.get("status"), said.get("reason")) == ("False", trouble.reason), said
            assert trouble.words in said["message"]
            assert ready.get("status") == ("True" if trouble.ready else "False")
            assert ready.get("reason") == ("Ready" if trouble.ready else trouble.reason)
            return True

        eventually(told, within=60, what=f"{trouble.name} says {trouble.reason}")

    def writes() -> dict[str, int]:
        return {trouble.name: status_writes(audit_log, namespace, trouble.name, resource="exchangeaccounts") for trouble in TROUBLES}

    written, began = settled(writes), time.monotonic()
    asked = {trouble.name: sum(exchanges[trouble.name].requests().values()) for trouble in TROUBLES}
    time.sleep(WATCHED_S)           # the measure, and not a wait for something
    asked = {trouble.name: sum(exchanges[trouble.name].requests().values()) - asked[trouble.name] for trouble in TROUBLES}
    bans = 1 + int((time.monotonic() - banned) / BANNED_S)
    assert sum(exchanges["banned"].requests().values()) <= 2 * bans, "a ban is waited out"
    written = {name: count - written[name] for name, count in writes().items()}
    took = time.monotonic() - began
    for trouble in TROUBLES:
        if not trouble.spec:
            assert asked[trouble.name] <= REQUESTS * took / WATCHED_S, f"{trouble.name} asked {asked[trouble.name]} times in {took:g} s"
        assert written[trouble.name] <= STATUS_WRITES * took / WATCHED_S, f"{trouble.name} wrote its status {written[trouble.name]} times in {took:g} s"

    trading.run("apply", "-f", "-", stdin=secret("wrong-key", apiKey=API_KEY, secret=API_SECRET))
    trading.run("apply", "-f", "-", stdin=secret("half-a-key", apiKey=API_KEY, secret=API_SECRET))
    for trouble in TROUBLES:
        if trouble.mend is not None:
            trouble.mend(exchanges[trouble.name])
    for trouble in TROUBLES:
        if not trouble.spec:            # another venue is another account
            def mended(trouble: Trouble = trouble) -> bool:
                return all(said.get("status") == "True" for said in conditions(trading, trouble.name, "Ready", trouble.condition))

            eventually(mended, within=BANNED_S + 60, what=f"{trouble.name} is ready")
    for trouble in TROUBLES:
        trading.run("delete", "xa", trouble.name)
    log = operator.log.read_text()
    assert "Traceback" not in log, log
    assert API_SECRET not in log


def test_an_operator_of_other_namespaces_never_keeps_this_one_from_saying_what_is_missing(desk, shared):
    """They share a namespace of Leases, and each says of its own namespaces what no account's holder can."""
    desk.exchange.fault(do="silence", mode="refuse")
    desk.start()
    eventually(lambda: condition(json.loads(desk.trading.run("get", "xa", "main", "-o", "json")), "Connected").get("reason") == "Unreachable", within=60,
               what="the other operator tells, for as long as it lasts, that its exchange can't be reached")
    shared.place("nobodys", accountRef={"name": "nobody"})
    eventually(lambda: shared.condition("nobodys", "Stalled").get("reason") == "AccountNotFound", within=60, what="the condition names the missing account")
