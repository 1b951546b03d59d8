"""Keys, restores, time to live and suspension on the real API server, as kubectl and a backup tool would do it."""

from __future__ import annotations

import json
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from exchange_kernel.kube.client import ORDER_INTENTS, ApiClient
from exchange_kernel.kube.config import access
from tests.cluster.operating import intent
from tests.support import eventually

REST = {"type": "Limit", "price": "20000", "quantity": "0.01"}


def reason(trading, name: str) -> str:
    return str(trading.condition(name, "Ready").get("reason"))


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


@pytest.mark.proves("rule 2", "H2")
def test_h2_the_same_manifest_applied_again_finds_the_same_order(trading):
    keyed = {**REST, "idempotencyKey": "entry-2026-11-24", "submitDeadlineTime": soon(3600), "deletionPolicy": "Orphan"}
    trading.place("keyed", **keyed)
    first = trading.await_state("keyed", "Open")
    trading.run("delete", "oi", "keyed")
    trading.place("keyed", **keyed)
    again = trading.await_state("keyed", "Open")
    assert again["exchangeOrderId"] == first["exchangeOrderId"]
    assert len(trading.exchange.orders(first["clientOrderId"])) == 1

    trading.place("second", **keyed)
    eventually(lambda: reason(trading, "second") == "HeldByAnotherIntent", within=60, what="the second holder says so")
    trading.run("delete", "oi", "second")
    trading.patch("keyed", desiredState="Canceled")
    trading.wait("keyed", "Finished")


@pytest.mark.proves("rule 7", "H21")
def test_h21_an_object_that_a_backup_tool_made_is_held_until_its_label_goes(trading):
    restored = intent("restored", **REST)
    restored["metadata"]["labels"] = {"velero.io/restore-name": "nightly"}
    trading.run("apply", "-f", "-", stdin=json.dumps(restored))
    eventually(lambda: reason(trading, "restored") == "Restored", within=60, what="the restored object is held")
    assert "clientOrderId" not in trading.status("restored")
    trading.run("label", "oi", "restored", "velero.io/restore-name-")
    trading.await_state("restored", "Open")
    trading.patch("restored", desiredState="Canceled")
    trading.wait("restored", "Finished")


async def test_a_finished_object_goes_when_its_time_is_over(kube, trading):
    async with ApiClient(access(kube.kubeconfig)) as api:
        path = ORDER_INTENTS.path(trading.namespace)
        version = (await api.get(path)).body["metadata"]["resourceVersion"]
        trading.place("short-lived", ttlSecondsAfterFinished=2)
        ended: dict[str, str] = {}
        async with aclosing(api.watch(path, resourceVersion=version, fieldSelector="metadata.name=short-lived")) as events:
            async for event in events:
                found = event["object"]
                if event["type"] == "MODIFIED" and "completionTime" in found["status"]:
                    ended = {"state": found["status"]["state"], "at": found["status"]["completionTime"], "deleted": found["metadata"].get("deletionTimestamp", "")}
                if event["type"] == "DELETED":
                    break
    assert ended["state"] == "Filled", "the watch has its end, and after it that it is gone"
    assert datetime.now(UTC) - datetime.fromisoformat(ended["at"]) >= timedelta(seconds=2)
    trading.await_gone("short-lived")


def test_time_suspended_is_not_taken_off_the_deadline(trading):
    trading.place("paused", **REST, suspend=True, submitDeadlineSeconds=12)
    eventually(lambda: reason(trading, "paused") == "Suspended", within=60, what="it is suspended")
    created = datetime.fromisoformat(trading.get("paused")["metadata"]["creationTimestamp"])
    seen = datetime.now(UTC)
    eventually(lambda: datetime.now(UTC) > created + timedelta(seconds=14), within=60, what="its deadline would be over")
    waited = datetime.now(UTC) - seen
    trading.patch("paused", suspend=False)
    status = trading.await_state("paused", "Open")
    assert status["suspendedSeconds"] >= int(waited.total_seconds())
    trading.patch("paused", desiredState="Canceled")
    trading.wait("paused", "Finished")


def test_a_word_that_can_t_be_read_or_is_not_needed_changes_nothing(trading):
    trading.place("told", **REST)
    status = trading.await_state("told", "Open")
    trading.run("annotate", "oi", "told", f'exchange-kernel.io/resolve={{"clientOrderId": "{status["clientOrderId"]}", "outcome": "Absent"}}')
    trading.patch("told", price="20001")
    second = eventually(lambda: (now := trading.status("told"))["clientOrderId"] != status["clientOrderId"] and now.get("state") == "Open" and now, within=60, what="it is changed")
    assert [order["status"] for order in trading.exchange.orders(second["clientOrderId"])] == ["NEW"]
    trading.patch("told", desiredState="Canceled")
    trading.wait("told", "Finished")


def test_an_intent_whose_account_never_was_goes_when_it_is_deleted(trading):
    trading.place("no-account", accountRef={"name": "no-such-account"})
    eventually(lambda: reason(trading, "no-account") == "AccountNotFound", within=60, what="the account is missed")
    trading.run("delete", "oi", "no-account", "--timeout=60s")


def test_deleting_an_intent_without_an_account_names_the_two_ways_out(trading):
    # By its key an earlier object may have sent the order.
    trading.place("without-account", accountRef={"name": "no-such-account"}, idempotencyKey="without-account", submitDeadlineTime="2036-01-01T00:00:00Z")
    eventually(lambda: reason(trading, "without-account") == "AccountNotFound", within=60, what="the account is missed")
    trading.run("delete", "oi", "without-account", "--wait=false")
    eventually(lambda: "deletionPolicy: Orphan" in trading.condition("without-account", "Stalled").get("message", ""), within=60, what="the ways out are named")
    trading.patch("without-account", deletionPolicy="Orphan")
    trading.await_gone("without-account")
