"""An account's finalizer, its rivals and the end of its namespace, on the real API server (rules 11, 12, 13; H25)."""

from __future__ import annotations

import json

import pytest

from tests.support import condition, eventually

RESTS = {"type": "Limit", "price": "20000", "quantity": "0.01"}
FINALIZER = "exchange-kernel.io/account"


def account(trading, name: str = "main"):
    return json.loads(trading.run("get", "xa", name, "-o", "json"))


def ready(trading, name: str = "main"):
    return condition(account(trading, name), "Ready")


def gone(trading, *what: str) -> bool:
    return trading.kubectl("--namespace", trading.namespace, "get", *what, check=False).returncode != 0


@pytest.mark.proves("rule 11", "H25")
def test_h25_a_namespace_that_is_deleted_secret_and_account_first_ends_with_its_orders_cancelled(desk, kube):
    trading = desk.trading
    desk.start()
    trading.await_account()
    for number in range(3):
        trading.place(f"open-{number}", **RESTS)
    for number in range(3):
        trading.await_state(f"open-{number}", "Open")
    trading.run("delete", "secret", "main-keys")
    trading.run("delete", "xa", "main", "--wait=false")
    eventually(lambda: ready(trading).get("reason") == "Deleting", within=60, what="the account says that it waits for its orders")
    assert FINALIZER in account(trading)["metadata"]["finalizers"]
    assert all(order["status"] == "NEW" for order in desk.exchange.orders())
    kube.kubectl("delete", "namespace", trading.namespace, "--wait=false")
    eventually(lambda: kube.kubectl("get", "namespace", trading.namespace, check=False).returncode != 0, within=90, every=0.5, what="the namespace is gone")
    assert [order["status"] for order in desk.exchange.orders()] == ["CANCELED"] * 3


def test_an_account_without_orders_goes_at_once(desk):
    trading = desk.trading
    desk.start()
    trading.await_account()
    assert FINALIZER in account(trading)["metadata"]["finalizers"]
    trading.run("delete", "xa", "main", "--wait=false")
    eventually(lambda: gone(trading, "xa", "main"), within=60, what="the account is gone")


@pytest.mark.proves("rule 13")
def test_a_second_object_on_the_same_account_is_refused_until_the_first_is_gone(desk):
    trading = desk.trading
    desk.start()
    trading.await_account()
    trading.open_account("second", resyncSeconds=5)
    eventually(lambda: ready(trading, "second").get("reason") == "AnotherExchangeAccount", within=60, what="the second is refused")
    assert ready(trading)["status"] == "True"
    trading.place("refused", accountRef={"name": "second"}, **RESTS)
    eventually(lambda: trading.condition("refused", "Ready").get("reason") == "AccountNotReady", within=60, what="its orders wait")
    trading.run("delete", "xa", "main", "--wait=false")
    trading.await_account("second")
    trading.await_state("refused", "Open")
    assert len(desk.exchange.orders()) == 1


@pytest.mark.proves("rule 12")
def test_an_order_that_was_left_behind_is_shown_as_an_orphan_and_cancelled_where_the_account_says_so(desk):
    trading = desk.trading
    desk.start()
    trading.await_account()
    trading.place("left", deletionPolicy="Orphan", **RESTS)
    trading.await_state("left", "Open")
    trading.run("delete", "oi", "left")
    eventually(lambda: account(trading)["status"].get("orphanOrders") == 1, within=60, what="the orphan is shown")
    assert [order["status"] for order in desk.exchange.orders()] == ["NEW"]
    trading.run("patch", "xa", "main", "--type=merge", "-p", '{"spec":{"orphanPolicy":"Cancel"}}')
    eventually(lambda: desk.exchange.orders()[0]["status"] == "CANCELED", within=60, what="the orphan is cancelled")
    eventually(lambda: account(trading)["status"].get("orphanOrders") == 0, within=60, what="and none is left")
