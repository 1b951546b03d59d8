"""`cancel`, `cancel-all`, `pause`, `resume`, `resolve`: which object is edited and how, and what is refused."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
import urllib3

from exchange_kernel.api import OrderGroup, OrderIntent
from exchange_kernel.cli.plugin.cancel_all import plan_of
from tests.unit.cli.plugin.recorded import API, a_group, a_member, an_account, an_order, condition, leg

CANCELED = {"spec": {"desiredState": "Canceled"}}


def settle(server, **states: str) -> None:
    """Whatever is edited is seen settled at the next reading."""
    answer = server._answer

    def later(method: str, path: str) -> tuple[int, object]:
        if method == "PATCH":
            for name, state in states.items():
                raw = server.objects[f"{API}/orderintents/{name}"]
                raw["status"] |= {"state": state, "completionTime": "2026-11-24T10:01:00Z"}
        return answer(method, path)

    server._answer = later


def test_an_order_is_cancelled_by_its_own_spec_and_only_if_it_is_still_the_same_object(exchange, server):
    server.put(an_order("one"))
    settle(server, one="Canceled")
    done = exchange("cancel", "one")
    assert (done.exit_code, done.stdout) == (0, "1 order is proved cancelled\n")
    assert server.writes() == [(f"{API}/orderintents/one", {"metadata": {"uid": "uid-one"}, **CANCELED})]


def test_a_member_is_cancelled_by_its_groups_spec_and_by_its_place_there(exchange, server):
    server.put(a_group("oco", leg("take"), leg("stop"), mode="OneCancelsOther"), a_member("oco-stop", "oco", "stop"))
    settle(server, **{"oco-stop": "Canceled"})
    assert exchange("cancel", "oi/oco-stop").exit_code == 0
    (path, patch), = server.writes()
    assert path == f"{API}/ordergroups/oco"
    assert [(step["op"], step["path"], step["value"]) for step in patch] == [
        ("test", "/metadata/uid", "uid-oco"), ("test", "/spec/members/1/name", "stop"), ("add", "/spec/members/1/desiredState", "Canceled")]


ADDED = {"name": "stop-2", "intentName": "br-stop-2", "uid": "uid-br-stop-2", "extraOf": "stop", "state": "Open"}


def test_what_a_group_added_is_cancelled_by_its_own_spec(exchange, server):
    server.put(a_group("br", leg("entry", "Entry"), leg("stop", "StopLoss"), members=[ADDED]), a_member("br-stop-2", "br", "stop-2"))
    settle(server, **{"br-stop-2": "Canceled"})
    assert exchange("cancel", "br-stop-2").exit_code == 0
    assert [path for path, _ in server.writes()] == [f"{API}/orderintents/br-stop-2"]


def test_what_a_group_added_stays_with_the_stop_that_it_is_for(exchange, server):
    server.put(a_group("br", leg("entry", "Entry"), leg("stop", "StopLoss"), conditions=[condition("Protected", "True", "StopWorking")], members=[ADDED]),
               a_member("br-stop", "br", "stop"), a_member("br-stop-2", "br", "stop-2"))
    done = exchange("cancel", "og/br", "--timeout", "30")
    assert (done.exit_code, done.stdout.count("stays: it is the stop of an open position")) == (0, 2)


def test_cancelling_a_market_takes_what_its_groups_added_there(exchange, server):
    server.put(a_group("br", leg("entry", "Entry"), leg("stop", "StopLoss"), leg("hedge", symbol="ETH/USDT"), mode="OneTriggersOther", members=[ADDED]),
               a_member("br-stop-2", "br", "stop-2"))
    settle(server, **{"br-stop-2": "Canceled"})
    assert exchange("cancel-all", "--symbol", "BTC/USDT", "--yes").exit_code == 0
    assert [path.rsplit("/", 1)[-1] for path, _ in server.writes()] == ["br", "br", "br-stop-2"]


def test_what_a_deleted_group_left_is_cancelled_by_its_own_spec(exchange, server):
    server.put(a_group("br", leg("entry", "Entry"), leg("stop", "StopLoss")), a_member("br-stop", "br", "stop", spec={"groupRef": {"name": "br", "uid": "uid-of-the-one-before", "member": "stop"}}))
    settle(server, **{"br-stop": "Canceled"})
    assert exchange("cancel", "br-stop").exit_code == 0
    assert [path for path, _ in server.writes()] == [f"{API}/orderintents/br-stop"]


def test_what_has_ended_is_not_written_to(exchange, server):
    server.put(an_order("done", state="Filled", finished=True))
    done = exchange("cancel", "done")
    assert (done.exit_code, server.writes()) == (0, [])
    assert "trading/done is Filled" in done.stdout
    assert "0 orders are proved cancelled" in done.stdout


def test_what_does_not_end_in_time_is_named_and_gives_1(exchange, server):
    server.put(an_order("stuck", state="Unknown"))
    done = exchange("cancel", "stuck", "--timeout", "0", "-o", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {"canceled": 0, "orders": [], "otherwise": {}, "kept": [], "open": {"trading/stuck": "Unknown"}}


def test_a_cancelled_groups_stop_of_an_open_position_stays_and_is_not_waited_for(exchange, server):
    server.put(a_group("br", leg("entry", "Entry"), leg("stop", "StopLoss"), conditions=[condition("Protected", "True", "StopWorking")]),
               a_member("br-stop", "br", "stop"), a_member("br-entry", "br", "entry", state="Filled", finished=True))
    done = exchange("cancel", "og/br", "--timeout", "30")
    assert (done.exit_code, "trading/br-stop stays: it is the stop of an open position" in done.stdout) == (0, True)
    assert server.writes() == [(f"{API}/ordergroups/br", {"metadata": {"uid": "uid-br"}, **CANCELED})]


@pytest.mark.parametrize(("mode", "writes", "query"), [("client", 0, None), ("server", 1, "All")])
def test_a_dry_run_says_what_would_be_done(exchange, server, mode, writes, query):
    server.put(an_order("one"))
    done = exchange("cancel", "one", f"--dry-run={mode}")
    assert (done.exit_code, "orderintent/one: desiredState Canceled" in done.stdout, len(server.writes())) == (0, True, writes)
    assert [asked.get("dryRun") for method, _, asked, _ in server.asked if method == "PATCH"] == [query] * writes


def test_changed_meanwhile_is_a_sentence(exchange, server):
    server.put(an_order("one"))
    answer = server._answer
    server._answer = lambda method, path: (409, {"message": "Precondition failed: UID in precondition: uid-one, UID in object meta: other"}) if method == "PATCH" else answer(method, path)
    done = exchange("cancel", "one")
    assert (done.exit_code, "changed or replaced meanwhile" in done.stderr, "still Open" in done.stdout) == (1, True, True)


# ── cancel-all ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def planned(orders, groups, symbol=None, strategy=None):
    plan = plan_of([OrderIntent.model_validate(raw) for raw in orders], [OrderGroup.model_validate(raw) for raw in groups], symbol=symbol, strategy=strategy)
    return [step.says.replace(": desiredState Canceled", "") for step in plan.steps], sorted(name for _, name in plan.orders)


GRID = {"exchange-kernel.io/strategy": "grid"}


@pytest.mark.parametrize(("reason", "orders", "groups", "filters", "steps", "ends"), [
    ("all that is not finished", [an_order("a"), an_order("b", finished=True)], [], {}, ["orderintent/a"], ["a"]),
    ("one market's", [an_order("a"), an_order("e", spec={"symbol": "ETH/USDT"})], [], {"symbol": "ETH/USDT"}, ["orderintent/e"], ["e"]),
    ("one strategy's", [an_order("a"), an_order("g", labels=GRID)], [], {"strategy": "grid"}, ["orderintent/g"], ["g"]),
    ("a group as a whole, with what it would place later", [a_member("br-entry", "br", "entry")], [a_group("br", leg("entry", "Entry"), leg("stop", "StopLoss"))], {}, ["ordergroup/br"], ["br-entry"]),
    ("a finished group is left, and what it left is cancelled by itself", [a_member("br-stop", "br", "stop")], [a_group("br", leg("stop", "StopLoss"), finished=True)], {}, ["orderintent/br-stop"], ["br-stop"]),
    ("of a group on two markets, the members on this one", [a_member("bk-e", "bk", "e", spec={"symbol": "ETH/USDT"}), a_member("bk-b", "bk", "b")],
     [a_group("bk", leg("b"), leg("e", symbol="ETH/USDT"), mode="Basket")], {"symbol": "ETH/USDT"}, ["ordergroup/bk for its member e"], ["bk-e"]),
    ("a strategy's group, whose members have no label", [a_member("br-entry", "br", "entry")], [a_group("br", leg("entry", "Entry"), labels=GRID)], {"strategy": "grid"}, ["ordergroup/br"], ["br-entry"]),
    ("a labelled member of a group that has no label", [a_member("bk-b", "bk", "b", labels=GRID), a_member("bk-c", "bk", "c")], [a_group("bk", leg("b"), leg("c"), mode="Basket")],
     {"strategy": "grid"}, ["ordergroup/bk for its member b"], ["bk-b"]),
], ids=lambda value: value if isinstance(value, str) else None)
def test_what_cancel_all_edits(reason, orders, groups, filters, steps, ends):
    assert planned(orders, groups, **filters) == (steps, ends)


def test_cancel_all_asks_first_and_where_nobody_can_answer_needs_yes(exchange, server):
    server.put(an_order("one"))
    done = exchange("cancel-all")
    assert (done.exit_code, server.writes()) == (2, [])
    settle(server, one="Canceled")
    done = exchange("cancel-all", "--yes")
    assert (done.exit_code, done.stdout) == (0, "1 order is proved cancelled\n")


def test_cancel_all_does_not_take_another_answer_for_yes(exchange, server, monkeypatch):
    server.put(an_order("one"))
    monkeypatch.setattr("exchange_kernel.cli.plugin.command.can_ask", lambda: True)
    done = exchange("cancel-all", stdin="y\n")
    assert (done.exit_code, server.writes(), "Nothing was done" in done.stderr) == (1, [], True)


def test_one_edit_that_is_refused_does_not_hold_up_the_others(exchange, server):
    server.put(an_order("a"), an_order("b"), an_order("c"))
    settle(server, a="Canceled", c="Canceled")
    answer = server._answer
    server._answer = lambda method, path: (500, {"message": "webhook is down"}) if (method, path) == ("PATCH", f"{API}/orderintents/b") else answer(method, path)
    done = exchange("cancel-all", "--yes", "--timeout", "0.5")
    assert (done.exit_code, "2 orders are proved cancelled" in done.stdout) == (1, True)
    assert "orderintent/b: desiredState Canceled: The API server refuses: webhook is down" in done.stderr
    assert sorted(path.rpartition("/")[2] for path, _ in server.writes()) == ["a", "b", "c"]


@pytest.mark.parametrize("gone", [False, True])
def test_what_ended_just_before_the_edit_is_no_error(exchange, server, gone):
    server.put(an_order("quick"))
    answer = server._answer

    def ended(method, path):
        if method == "PATCH":
            server.objects[path]["status"] |= {"state": "Filled", "completionTime": "2026-11-24T10:01:00Z"}
            if gone:
                del server.objects[path]
            return 422, {"message": "the order is finished and can't be changed any more"}
        return answer(method, path)

    server._answer = ended
    done = exchange("cancel-all", "--yes")
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"trading/quick is {'gone' if gone else 'Filled'}" in done.stdout


# ── pause and resume ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

def test_pause_waits_until_status_shows_the_mode(exchange, server):
    server.put(an_account(tradingMode="CancelOnly", openIntents=3))
    done = exchange("pause", "main")
    assert (done.exit_code, "CancelOnly is in force" in done.stdout, "cancel-all --account main" in done.stdout) == (0, True, True)
    assert server.writes() == [(f"{API}/exchangeaccounts/main", {"metadata": {"uid": "uid-main"}, "spec": {"tradingMode": "CancelOnly"}})]


def test_a_mode_that_nobody_puts_in_force_is_an_error(exchange, server):
    server.put(an_account())
    done = exchange("pause", "main", "--timeout", "0.1")
    assert (done.exit_code, "orders may still be sent" in done.stderr) == (1, True)
    assert exchange("resume", "main", "--dry-run", "client").stdout == "exchangeaccount/main: tradingMode Enabled → Enabled (dry run)\n"


# ── resolve ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

SENT = [{"number": 1, "clientOrderId": "id-1", "stage": "Sent", "quantity": "0.5", "price": "42000"}]
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def test_resolve_is_refused_while_the_exchange_can_tell_itself(exchange, server):
    server.put(an_order("open"))
    done = exchange("resolve", "open", "--outcome", "Absent", "--yes")
    assert (done.exit_code, server.writes(), "the exchange's word counts" in done.stderr) == (1, [], True)


def test_without_an_outcome_resolve_shows_what_is_asked_and_writes_nothing(exchange, server):
    server.put(an_order("lost", state="Unknown", attempts=SENT, conditions=[condition("OutcomeUnknown", "True", "OutcomeUnknown", "Look for it there.")]))
    done = exchange("resolve", "lost")
    assert (done.exit_code, server.writes()) == (0, [])
    assert "Look for it there." in done.stdout
    assert "attempt 1  Sent  0.5 at 42000  id-1" in done.stdout


def test_resolve_writes_the_annotation_for_the_version_that_was_shown_and_who_said_so(exchange, server):
    server.put(an_order("lost", state="Unknown", attempts=SENT))
    server.answers[WHO] = (201, {"status": {"userInfo": {"username": "ann"}}})
    done = exchange("resolve", "lost", "--outcome", "Canceled", "--filled-quantity", "0.2", "--average-price", "41999.5", "--yes", "--timeout", "0")
    assert done.exit_code == 0, done.stderr
    path, patch = server.writes()[-1]
    assert (path, patch["metadata"]["resourceVersion"]) == (f"{API}/orderintents/lost", "7")
    annotations = patch["metadata"]["annotations"]
    word = json.loads(annotations["exchange-kernel.io/resolve"])
    assert datetime.fromisoformat(word.pop("time")).tzinfo is not None, "told again, it is another word, and stamped again"
    assert word == {"clientOrderId": "id-1", "outcome": "Canceled", "filledQuantity": "0.2", "averagePrice": "41999.5"}
    assert annotations["exchange-kernel.io/resolved-by"] == "ann", "as a policy that only judges wants it"


def test_whoever_lacks_the_verb_is_told_so_in_the_api_servers_words(exchange, server):
    server.put(an_order("lost", state="Unknown", attempts=SENT))
    server.answers[WHO] = (201, {"status": {"userInfo": {"username": "ann"}}})
    answer = server._answer
    said = {"message": "denied request: ann may not tell what became of an order"}
    server._answer = lambda method, path: (403, said) if method == "PATCH" else answer(method, path)
    done = exchange("resolve", "lost", "--outcome", "Absent", "--yes")
    assert (done.exit_code, "You may not do this: denied request: ann may not tell what became of an order" in done.stderr) == (1, True)


def test_a_fill_that_is_never_listed_is_resolved_though_the_order_is_filled(exchange, server):
    ended = [{"number": 1, "clientOrderId": "id-1", "stage": "Ended", "outcome": "Filled", "quantity": "0.5", "price": "42000"}]
    server.put(an_order("unlisted", state="Filled", attempts=ended, conditions=[condition("Stalled", "True", "FillsNotListed", "Compare.")]))
    server.answers[WHO] = (201, {"status": {"userInfo": {"username": "ann"}}})
    done = exchange("resolve", "unlisted", "--outcome", "Filled", "--filled-quantity", "0.5", "--average-price", "42000", "--yes", "--timeout", "0")
    assert done.exit_code == 0, done.stderr
    assert json.loads(server.writes()[-1][1]["metadata"]["annotations"]["exchange-kernel.io/resolve"])["clientOrderId"] == "id-1"


@pytest.mark.parametrize(("arguments", "sentence", "code"), [
    (["--outcome", "Filled"], "filledQuantity and averagePrice", 2),
    (["--outcome", "Absent", "--filled-quantity", "1", "--average-price", "1"], "an outcome other than Absent", 2),
    (["--outcome", "Canceled", "--filled-quantity", "-1"], "--filled-quantity", 2),
    (["--outcome", "Gone"], "Invalid value", 2),
    (["--outcome", "Absent", "--client-order-id", "somebody-elses"], "is no client order id of lost", 1),
    (["--outcome", "Absent"], "add --yes", 2),
])
def test_a_word_that_does_not_add_up_is_not_written(exchange, server, arguments, sentence, code):
    server.put(an_order("lost", state="Unknown", attempts=SENT))
    done = exchange("resolve", "lost", *arguments)
    assert (done.exit_code, server.writes()) == (code, [])
    assert sentence in " ".join(done.stderr.replace("│", " ").split())


def test_resolve_says_when_the_word_is_not_taken_yet(exchange, server):
    server.put(an_order("lost", state="Unknown", attempts=SENT))
    server.answers[WHO] = (201, {"status": {"userInfo": {"username": "ann"}}})
    done = exchange("resolve", "lost", "--outcome", "Absent", "--yes", "--timeout", "0.1")
    assert (done.exit_code, "still waits for it" in done.stderr) == (1, True)


def test_an_api_server_that_is_away_while_a_cancel_is_awaited_is_waited_for(exchange, server):
    server.put(an_order("one"))
    answer, seen = server.request, []

    def flaky(method, url, **options):
        if method == "GET" and any(asked == "PATCH" for asked, *_ in server.asked):
            seen.append(url)
            if len(seen) == 1:
                raise urllib3.exceptions.NewConnectionError(None, "Connection refused")  # type: ignore[arg-type]
        return answer(method, url, **options)

    server.request = flaky
    settle(server, one="Canceled")
    done = exchange("cancel", "one", "--timeout", "20")
    assert (done.exit_code, done.stdout, len(seen)) == (0, "1 order is proved cancelled\n", 2)


def test_a_dry_run_that_the_api_server_refuses_gives_1(exchange, server):
    server.put(an_order("one"))
    answer = server._answer
    server._answer = lambda method, path: (403, {"message": "may not patch"}) if method == "PATCH" else answer(method, path)
    done = exchange("cancel", "one", "--dry-run", "server")
    assert (done.exit_code, done.stdout, "may not patch" in done.stderr) == (1, "", True)
