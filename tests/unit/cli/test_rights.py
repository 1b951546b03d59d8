"""A right that the operator lost is counted each time, and told once in a while in words that say what to do."""

from __future__ import annotations

import structlog
from aiohttp import web

from exchange_kernel.cli.rights import TOLD_EACH_S, Rights
from exchange_kernel.telemetry import metrics
from tests.unit.kube.test_client import a_client

LOST = ('orderintents.exchange-kernel.io "one" is forbidden: User "system:serviceaccount:ek:operator" cannot patch resource "orderintents/status" in API group '
        '"exchange-kernel.io" in the namespace "desk"')
CLUSTER_WIDE = 'namespaces "kube-system" is forbidden: User "operator" cannot get resource "namespaces" in API group "" at the cluster scope'
BY_A_POLICY = 'orderintents.exchange-kernel.io "one" is forbidden: ValidatingAdmissionPolicy \'p\' with binding \'p\' denied request: no'


def counted(verb: str, resource: str) -> float:
    return metrics.FORBIDDEN.labels(verb, resource)._value.get()


def test_a_lost_right_is_told_once_in_five_minutes_and_counted_each_time():
    times = (0.0, 1.0, TOLD_EACH_S - 1, TOLD_EACH_S, TOLD_EACH_S + 1)
    rights, before = Rights(iter(times).__next__), counted("patch", "orderintents/status")
    with structlog.testing.capture_logs() as lines:
        for _ in times:
            rights.heard(LOST)
    assert [line["log_level"] for line in lines] == ["error", "error"]
    assert counted("patch", "orderintents/status") - before == 5
    assert lines[0]["check"] == "kubectl auth can-i patch orderintents/status --as=system:serviceaccount:ek:operator -n desk"
    assert "ClusterRoleBinding" in lines[0]["todo"]


def test_each_namespace_and_right_is_told_by_itself_and_a_policys_word_is_none():
    rights = Rights(lambda: 0.0)
    with structlog.testing.capture_logs() as lines:
        for message in (LOST, LOST.replace('"desk"', '"other"'), LOST.replace("patch", "delete"), CLUSTER_WIDE, BY_A_POLICY, ""):
            rights.heard(message)
    assert [(line["verb"], line["namespace"]) for line in lines] == [("patch", "desk"), ("patch", "other"), ("delete", "desk"), ("get", None)]


async def test_the_client_tells_of_calls_and_watches_that_are_forbidden(monkeypatch):
    async def forbid(request: web.BaseRequest) -> web.Response:
        return web.json_response({"message": LOST, "code": 403}, status=403)

    heard: list[str] = []
    async with a_client(monkeypatch, forbid, connections=2) as client:
        client.forbidden = heard.append
        await client.patch("/", {})
        [event async for event in client.watch("/")]
    assert heard == [LOST, LOST]
