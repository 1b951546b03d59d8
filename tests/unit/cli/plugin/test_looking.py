"""`orders`, `tree`, `describe`, `capabilities`: what is shown of recorded objects, and what is said where nothing can be shown."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import urllib3
import yaml

from exchange_kernel.api import OrderIntent
from exchange_kernel.cli.plugin.describe import timeline
from exchange_kernel.cli.plugin.output import age, at_path
from tests.unit.cli.plugin.recorded import API, Response, a_group, a_member, an_account, an_order, condition, leg

ATTEMPT = {"number": 1, "clientOrderId": "id-1", "exchangeOrderId": "77", "quantity": "0.5", "price": "42000", "stage": "Ended", "outcome": "Filled",
           "filledQuantity": "0.5", "preparedTime": "2026-11-24T10:00:01Z", "endTime": "2026-11-24T10:00:04Z"}
FILL = {"tradeId": "t9", "quantity": "0.5", "price": "41999", "fee": {"asset": "USDT", "amount": "2.1"}, "time": "2026-11-24T10:00:03Z"}


def test_orders_are_listed_with_the_kinds_own_columns(exchange, server):
    server.put(an_order("b-later"), an_order("a-first", state="Filled", filledQuantity="0.5", averagePrice="41999"))
    shown = exchange("orders").stdout.splitlines()
    assert shown[0].split() == ["NAME", "STATE", "SIDE", "TYPE", "SYMBOL", "QTY", "PRICE", "FILLED", "AVG", "AGE"]
    assert shown[1].split()[:9] == ["a-first", "Filled", "Buy", "Limit", "BTC/USDT", "0.5", "42000", "0.5", "41999"]
    assert "CLIENT ORDER ID" in exchange("orders", "-o", "wide").stdout


def test_filters_that_the_api_server_knows_are_its_to_apply_and_states_are_picked_here(exchange, server):
    server.put(an_order("open"), an_order("done", state="Filled"), an_order("lost", state="Unknown"))
    shown = exchange("orders", "--account", "main", "--symbol", "BTC/USDT", "--strategy", "grid", "--state", "Open", "--state", "Unknown", "-o", "name").stdout
    assert shown.split() == ["orderintent.exchange-kernel.io/lost", "orderintent.exchange-kernel.io/open"]
    (_, _, query, _), = server.asked
    assert query["fieldSelector"] == "spec.accountRef.name=main,spec.symbol=BTC/USDT"
    assert query["labelSelector"] == "exchange-kernel.io/strategy=grid"


def test_json_and_yaml_are_what_the_api_server_said(exchange, server):
    server.put(an_order("one"))
    listed = json.loads(exchange("orders", "-o", "json").stdout)
    assert (listed["kind"], listed["items"][0]["metadata"]["name"]) == ("List", "one")
    assert yaml.safe_load(exchange("orders", "-o", "yaml").stdout) == listed


def test_a_long_list_is_read_page_by_page(exchange, server):
    path, pages = f"{API}/orderintents", [{"continue": "more", "resourceVersion": "5"}, {"resourceVersion": "5"}]
    found = [{"items": [an_order("one")], "metadata": pages[0]}, {"items": [an_order("two")], "metadata": pages[1]}]
    server._answer = lambda method, where: (200, found.pop(0)) if where == path else (404, {})      # type: ignore[method-assign]
    assert exchange("orders", "-o", "name").stdout.split() == ["orderintent.exchange-kernel.io/one", "orderintent.exchange-kernel.io/two"]
    assert [query.get("continue") for _, _, query, _ in server.asked] == [None, "more"]


def test_one_object_of_another_version_does_not_hide_the_others(exchange, server):
    server.put(an_order("known"), an_order("newer", spec={"unheardOf": "1"}))
    done = exchange("tree")
    assert "known" in done.stdout
    assert "newer does not fit this version" in done.stderr


def test_the_tree_goes_from_groups_to_fills_and_shows_members_that_wait(exchange, server):
    group = a_group("br", leg("entry", "Entry"), leg("stop", "StopLoss"), conditions=[condition("Succeeded", "Unknown", "Working")],
                    members=[{"name": "stop", "intentName": "br-stop", "message": "It follows the Entry."}])
    server.put(group, a_member("br-entry", "br", "entry", state="Filled", filledQuantity="0.5", averagePrice="41999", attempts=[ATTEMPT], fills=[FILL]), an_order("alone"))
    text = exchange("tree").stdout
    lines = [line.lstrip("│├└─ ") for line in text.splitlines()]
    assert lines[0].startswith("og/br  Bracket  Working")
    assert lines[1] == "Entry oi/br-entry  Filled  Buy 0.5 BTC/USDT Limit at 42000  filled 0.5 at 41999"
    assert lines[2] == "attempt 1  Filled  0.5 at 42000  filled 0.5  id-1 / 77"
    assert lines[3].startswith("fill t9  0.5 at 41999  fee 2.1 USDT")
    assert lines[4] == "StopLoss stop  Pending  It follows the Entry."
    assert lines[5].startswith("oi/alone  Open")
    nested = json.loads(exchange("tree", "-o", "json").stdout)
    assert nested["groups"][0]["orders"][0]["metadata"]["name"] == "br-entry"
    assert [raw["metadata"]["name"] for raw in nested["orders"]] == ["alone"]


def test_the_tree_shows_what_a_group_added_and_for_which_member(exchange, server):
    added = {"name": "stop-2", "intentName": "br-stop-2", "extraOf": "stop", "state": "Open"}
    server.put(a_group("br", leg("entry", "Entry"), leg("stop", "StopLoss"), members=[added]), a_member("br-stop-2", "br", "stop-2"))
    root, *lines = exchange("tree").stdout.splitlines()
    assert root.startswith("og/br")
    assert sum("added for stop oi/br-stop-2" in line for line in lines) == 1


def test_the_tree_of_one_name_is_a_groups_or_else_an_orders(exchange, server):
    server.put(a_group("br", leg("entry", "Entry")), an_order("br-x"))
    assert exchange("tree", "br").stdout.startswith("og/br")
    assert exchange("tree", "br-x").stdout.startswith("oi/br-x")
    assert exchange("tree", "og/br-x").exit_code == 1


def test_the_timeline_tells_who_told_it_and_when():
    raw = an_order("told")
    raw["metadata"]["annotations"] = {"exchange-kernel.io/resolve": '{"clientOrderId": "id-1", "outcome": "Absent", "time": "2026-11-24T10:00:08Z"}', "exchange-kernel.io/resolved-by": "ann"}
    assert "ann told what became of id-1" in [moment.what for moment in timeline(OrderIntent.model_validate(raw), [])]


def test_the_timeline_has_everything_once_and_in_order():
    raw = an_order("told", state="Filled", finished=True, attempts=[ATTEMPT], fills=[FILL], submitTime="2026-11-24T10:00:01.5Z", acknowledgeTime="2026-11-24T10:00:02Z",
                   conditions=[condition("Finished", "True", "Filled", "Filled.", at="2026-11-24T10:00:09Z"), condition("Stalled", "False", "Filled", at="2026-11-24T10:00:09Z")])
    raw["metadata"]["annotations"] = {"exchange-kernel.io/resolved-by": '{"user": "ann", "time": "2026-11-24T10:00:08+00:00", "clientOrderId": "id-1"}'}
    event = {"metadata": {"creationTimestamp": T5}, "eventTime": T5, "type": "Normal", "reason": "Filled", "note": "Filled.", "series": {"count": 3, "lastObservedTime": T5}}
    moments = timeline(OrderIntent.model_validate(raw), [event])
    assert [moment.time for moment in moments] == sorted(moment.time for moment in moments)
    assert [(moment.source, moment.what.split(":")[0]) for moment in moments] == [
        ("cluster", "created"), ("cluster", "attempt 1 written, to be sent as id-1"), ("exchange", "first sent"), ("exchange", "taken by the exchange"),
        ("exchange", "fill t9  0.5 at 41999  fee 2.1 USDT"), ("exchange", "attempt 1 ended"), ("event", "Normal Filled"), ("cluster", "ann told what became of id-1"),
        ("cluster", "Finished became True (Filled)"), ("cluster", "its end was settled"),
    ]
    assert "told 3 times" in moments[6].what


T5 = "2026-11-24T10:00:05.000000Z"


def test_describe_goes_on_without_events_where_they_may_not_be_read(exchange, server):
    server.put(an_order("quiet"))
    server.answers["/apis/events.k8s.io/v1/namespaces/trading/events"] = (403, {"message": "events is forbidden"})
    done = exchange("describe", "quiet")
    assert done.exit_code == 0
    assert "created: Buy 0.5 BTC/USDT Limit at 42000" in done.stdout
    assert "Events are missing" in done.stderr


def test_capabilities_are_told_by_their_names_and_wide_by_their_meaning(exchange, server):
    known = {"clientOrderIdCodec": "hex32", "clientOrderIdMaxLength": 36, "duplicateIdsRefused": "WhileOpen", "lookup": "Listing", "lookupDelayMilliseconds": 1000,
             "requestWindowMilliseconds": 0, "acceptsAheadMilliseconds": 0, "expiryCheck": "None", "retentionSeconds": 60, "amend": "None", "cancelByClientId": True,
             "orderTypes": ["Market", "Limit"], "timesInForce": ["GTC"], "postOnly": False, "reduceOnly": False, "triggerPriceTypes": [], "trailingUnits": [],
             "nativeGroups": [], "maxBatchCreate": 0, "maxBatchCancel": 0}
    server.put(an_account(capabilities=known), an_account("new"))
    text = exchange("capabilities", "main").stdout
    assert "orderTypes" in text
    assert "Market, Limit" in text
    assert "Types of spec.type that can be used." in exchange("capabilities", "main", "-o", "wide").stdout
    assert json.loads(exchange("capabilities", "main", "-o", "json").stdout)["lookup"] == "Listing"
    assert exchange("capabilities", "new").exit_code == 1


@pytest.mark.parametrize(("answer", "sentence"), [
    ((403, {"message": 'orderintents is forbidden: User "ann" cannot list'}), "You may not do this"),
    ((401, {"message": "Unauthorized"}), "does not know you"),
    ((404, "404 page not found\n"), "are not installed"),
    ((500, {"message": "etcd has no leader"}), "The API server refuses: etcd has no leader"),
    ((200, "<html>hello</html>"), "could not be read"),
])
def test_errors_are_one_sentence_and_exit_code_1(exchange, server, answer, sentence):
    server.answers[f"{API}/orderintents"] = answer
    done = exchange("orders")
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit)


def test_an_api_server_that_is_down_is_told_with_its_address(exchange, server):
    server.down = True
    done = exchange("orders")
    assert (done.exit_code, "https://api.example:6443 does not answer" in done.stderr) == (1, True)


def test_a_missing_object_is_named(exchange):
    done = exchange("describe", "nope")
    assert (done.exit_code, '"nope" not found' in done.stderr) == (1, True)


def test_nothing_found_is_no_error_and_leaves_the_table_away(exchange):
    done = exchange("orders")
    assert (done.exit_code, done.stdout, "No orders found in namespace trading" in done.stderr) == (0, "", True)


@pytest.mark.parametrize(("ago", "shown"), [(0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"), (3599, "59m"), (3 * 3600, "3h"), (47 * 3600, "47h"), (72 * 3600, "3d"), (-5, "0s")])
def test_ages_are_as_kubectl_shows_them(ago, shown):
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert age(now - timedelta(seconds=ago), now) == shown


def test_a_columns_path_may_pick_a_condition():
    raw = {"status": {"conditions": [condition("Stalled", "False"), condition("Ready", "True", "Open")]}}
    assert at_path(raw, '.status.conditions[?(@.type=="Ready")].reason') == "Open"
    assert at_path(raw, ".status.state") is None
    assert at_path({}, '.status.conditions[?(@.type=="Ready")].reason') is None


# ── --watch ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def watched(server, *rounds):
    """A server that answers each watch with the next of these: lines of events, a (status, body), or None for no answer. After the last, Ctrl-C."""
    left, request = list(rounds), server.request

    def asked(method, url, **options):
        if "watch=true" not in url:
            return request(method, url, **options)
        if not left:
            raise KeyboardInterrupt
        if (answer := left.pop(0)) is None:
            raise urllib3.exceptions.NewConnectionError(None, "Connection refused")  # type: ignore[arg-type]
        status, body = answer if isinstance(answer, tuple) else (200, "".join(json.dumps(event) + "\n" for event in answer))
        return Response(status, body, {})

    server.request = asked


def event(kind, name, version, **order):
    raw = an_order(name, **order)
    raw["metadata"]["resourceVersion"] = version
    return {"type": kind, "object": raw}


def names(done):
    return [(raw["metadata"]["name"], raw["status"]["state"]) for raw in map(json.loads, done.stdout.splitlines())]


def test_a_watch_shows_what_is_there_and_then_each_change(exchange, server):
    server.put(an_order("old"))
    watched(server, [event("ADDED", "new", "101", state="Pending"), event("MODIFIED", "new", "102")], [event("MODIFIED", "old", "103", state="Filled"), event("DELETED", "new", "104")])
    done = exchange("orders", "-w", "-o", "json")
    assert done.exit_code == 130
    assert names(done)[:4] == [("old", "Open"), ("new", "Pending"), ("new", "Open"), ("old", "Filled")]


def test_a_watch_in_a_pipe_is_a_table_with_one_header(exchange, server):
    watched(server, [event("ADDED", "a", "101"), event("ADDED", "b", "102")])
    assert [line.split()[0] for line in exchange("orders", "-w").stdout.splitlines()] == ["NAME", "a", "b"]


@pytest.mark.parametrize("expired", [(410, {"message": "too old"}), [{"type": "ERROR", "object": {"code": 410, "message": "too old"}}]], ids=["at once", "later"])
def test_a_watch_that_expired_lists_anew_and_shows_what_changed_meanwhile(exchange, server, expired):
    server.put(an_order("same"), an_order("moved"))
    watched(server, expired)
    answer, lists = server._answer, []

    def moved(method, path):
        lists.append(path)
        if len(lists) == 2:
            server.put(event("", "moved", "8", state="Filled")["object"])
        return answer(method, path)

    server._answer = moved
    assert names(exchange("orders", "-w", "-o", "json")) == [("moved", "Open"), ("same", "Open"), ("moved", "Filled")]


def test_a_watch_waits_for_an_api_server_that_is_away_and_says_so_once(exchange, server, monkeypatch):
    monkeypatch.setattr("exchange_kernel.cli.plugin.orders.AGAIN_S", 0.0)
    watched(server, None, None, [event("ADDED", "back", "101")])
    done = exchange("orders", "-w", "-o", "json")
    assert (names(done), done.stderr.count("does not answer")) == ([("back", "Open")], 1)


def test_a_watch_that_is_refused_ends_with_the_reason(exchange, server):
    watched(server, (403, {"message": "may not watch"}))
    done = exchange("orders", "-w")
    assert (done.exit_code, "may not watch" in done.stderr) == (1, True)
