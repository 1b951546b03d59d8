"""Fixtures with an exchange and an operator: one desk shared by the tests that only place orders, and one of its own for a test that breaks things."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exchange_kernel.cli.children import Child
from tests.cluster.operating import Exchange, Trading, operator_arguments, operator_program

OPERATOR_USER = "system:serviceaccount:exchange-kernel-system:exchange-kernel"
#: For kubectl, to write a status in the operator's name: the API server takes it from nobody else. The group, since kubectl reads before it patches.
AS_OPERATOR = (f"--as={OPERATOR_USER}", "--as-group=system:masters")


@pytest.fixture
def audit_log(kube) -> Path:
    if kube.control_plane is None:
        pytest.fail("the audit log can be read on a control plane of our own only: run without TEST_KUBECONFIG")
    return kube.control_plane.audit_log


@pytest.fixture(scope="session")
def operator_kubeconfig(kube, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator's own identity, with no more than its Role."""
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    if kube.control_plane is None:
        return with_token(kube, ("exchange-kernel-system", "exchange-kernel"), path)
    return kube.control_plane.kubeconfig_for(OPERATOR_USER, ["system:serviceaccounts"], path)


def with_token(kube, service_account: tuple[str, str], path: Path) -> Path:
    """The cluster's kubeconfig, with a token of this ServiceAccount (namespace and name) in the place of its user."""
    namespace, name = service_account
    token = kube.kubectl("--namespace", namespace, "create", "token", name, "--duration=24h").stdout.strip()
    config = json.loads(kube.kubectl("config", "view", "--raw", "--flatten", "-o", "json").stdout)
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path.write_text(json.dumps(config))
    return path


@pytest.fixture(scope="session")
def shared(kube, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trading]:
    """One operator, exchange and account for all tests that only place orders."""
    namespace, dir = f"trading-{os.getpid()}", tmp_path_factory.mktemp("shared")
    kube.kubectl("create", "namespace", namespace)
    exchange = Exchange(dir)
    operator = Child("operator", operator_arguments(operator_kubeconfig, namespace), dir)
    try:
        trading = Trading(kube.kubectl, namespace, exchange)
        trading.open_account()
        trading.await_account()
        yield trading
    finally:
        print(operator.log_tail(30))
        operator.stop()
        exchange.stop()


@pytest.fixture
def trading(shared: Trading, request: pytest.FixtureRequest) -> Iterator[Trading]:
    yield shared
    report_failure(request, shared)


@dataclass
class Desk:
    """An exchange, an account and a namespace of one test's own, and the operators that it starts and kills."""

    trading: Trading
    exchange: Exchange
    kubeconfig: Path
    dir: Path
    operators: list[Child] = field(default_factory=list)

    def start(self, *extra: str, broken: str | None = None) -> Child:
        arguments = operator_arguments(self.kubeconfig, self.trading.namespace, extra=extra)
        operator = Child(f"operator-{len(self.operators) + 1}", arguments, self.dir, program=operator_program(broken))
        self.operators.append(operator)
        return operator


@pytest.fixture
def desk(kube, operator_kubeconfig: Path, namespace: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    exchange = Exchange(tmp_path)
    found = Desk(Trading(kube.kubectl, namespace, exchange), exchange, operator_kubeconfig, tmp_path)
    found.trading.open_account(resyncSeconds=5)
    yield found
    report_failure(request, found.trading)
    exchange.heal()
    for operator in found.operators:
        if operator.running:
            operator.stop()
        if failed(request):
            print(f"── {operator.name}\n{operator.log_tail(80)}")
    exchange.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, f"report_{outcome.get_result().when}", outcome.get_result())


def failed(request: pytest.FixtureRequest) -> bool:
    return getattr(getattr(request.node, "report_call", None), "failed", True)


def report_failure(request: pytest.FixtureRequest, trading: Trading) -> None:
    """What a person would look at first, when a test failed."""
    if failed(request):
        print(trading.run("get", "og,oi,xa", "-o", "wide", check=False))
