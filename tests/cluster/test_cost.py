"""What an order costs the API server and the exchange, by their own counts."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request

import pytest

from tests.cluster.groups import Group
from tests.cluster.operating import API_KEY, API_SECRET, intent, settled, status_writes, writes
from tests.support import eventually


def test_a_market_order_costs_at_most_two_status_writes(trading, audit_log):
    trading.place("counted")
    trading.wait("counted", "Succeeded")
    eventually(lambda: "exchange-kernel.io/order" not in trading.get("counted")["metadata"].get("finalizers", []), within=60, what="the finalizer is gone")
    assert 1 <= settled(lambda: status_writes(audit_log, trading.namespace, "counted"), other_than=0) <= 2


#: A member: made; written ahead, at the exchange (twice, where its list's answer comes in parts), filled, settled; let go.
A_MEMBER = 7

#: The group: held; its members made, working, one of them filled, each end.
A_GROUP = 6

#: Of the member that is cancelled: its cancel made durable, and shown.
A_CANCEL = 2


@pytest.mark.parametrize("native", ["Prefer", "Never"])
def test_what_a_whole_life_of_one_cancels_other_costs_the_api_server(trading, audit_log, native):
    group = Group(trading, f"costs-{native.lower()}").oco(nativePolicy=native)
    group.await_state("Open", "take", "stop")
    group.await_condition("Ready", "True", "Working")
    group.fill("take", "0.01")
    group.wait("Succeeded")
    for member in ("take", "stop"):
        eventually(lambda name=member: not group.intent(name)["metadata"].get("finalizers"), within=60, what=f"the {member} is let go")
    made = settled(lambda: [f"{what} {name}" for what, name in writes(audit_log, trading.namespace) if name.startswith(group.name)])
    assert len(made) - 1 <= A_GROUP + 2 * A_MEMBER + A_CANCEL, "\n".join(made)        # one of them is the user's own


def test_an_idle_minute_of_fifty_orders_costs_no_status_write_and_one_listing_a_sweep(desk, audit_log):
    trading, exchange, resync_seconds = desk.trading, desk.exchange, 5
    desk.start()
    trading.open_account(resyncSeconds=resync_seconds)
    trading.await_account()
    items = [intent(f"idle-{number}", type="Limit", price="20000", quantity="0.01") for number in range(50)]
    trading.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    eventually(lambda: trading.run("get", "oi", "--field-selector", "status.state=Open", "-o", "name").count("idle-") == 50, within=60, what="50 intents are open")
    writes = settled(lambda: status_writes(audit_log, trading.namespace))
    began, before = time.monotonic(), exchange.requests()
    time.sleep(60)      # the minute itself is what is measured
    made = {path: count - before.get(path, 0) for path, count in exchange.requests().items() if count != before.get(path, 0)}
    took = time.monotonic() - began
    assert settled(lambda: status_writes(audit_log, trading.namespace)) == writes
    # One reading of the clock, one list of open orders and one of the balances a sweep: the same for one intent and for fifty.
    assert set(made) <= {"GET /api/v3/time", "GET /api/v3/openOrders", "GET /api/v3/account", "WS ping"}
    assert all(count <= took / (resync_seconds * 0.9) + 2 for count in made.values()), made


def test_credentials_never_appear_anywhere(desk):
    trading = desk.trading
    operator = desk.start("--log-level", "DEBUG")
    trading.await_account()
    trading.place("quiet")
    trading.wait("quiet", "Succeeded")
    trading.exchange.fault(match={"method": "POST", "path": "/api/v3/order"}, do="garbage", count=1)
    trading.place("loud")
    trading.wait("loud", "Succeeded", within=60)
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.ready['port']}/metrics", timeout=60) as answer:
        metrics = answer.read().decode()
    everything = "\n".join([metrics, operator.log.read_text(), trading.run("get", "oi,xa,events,leases", "-A", "-o", "yaml")])
    assert f'exchange_kernel_submits_total{{account="{trading.namespace}/main",outcome="Accepted"}} 1.0' in metrics
    for secret in (API_KEY, API_SECRET):
        assert secret not in everything
    assert not re.search(r"signature=[0-9a-f]{16}", everything)


def test_ready_means_reconciled(desk):
    desk.exchange.fault(match={"method": "GET", "path": "/api/v3/openOrders"}, do="status", status=502)
    operator = desk.start()
    url = f"http://127.0.0.1:{operator.ready['port']}"

    def ready() -> int:
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    with urllib.request.urlopen(url + "/healthz", timeout=60) as answer:
        assert answer.status == 200
    eventually(lambda: any(path.endswith("/api/v3/openOrders") for path in desk.exchange.requests()), within=60, what="a sweep was tried")
    assert ready() == 503
    desk.exchange.heal()
    eventually(lambda: ready() == 200, within=60, what="ready once the account is swept")
