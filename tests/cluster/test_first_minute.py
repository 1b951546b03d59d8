"""What a person types in the first minute, on a cluster where nothing was done before: each command works as it stands in the README."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange_kernel.api import KINDS
from exchange_kernel.cli.controlplane import ControlPlane
from tests.cluster.operating import API_KEY, API_SECRET
from tests.support import eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "manifests" / "examples"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster that has never heard of us."""
    with ControlPlane.start(tmp_path_factory.mktemp("fresh") / "plane", fsync=False) as plane:
        yield plane


def test_the_kinds_the_policies_and_the_examples_are_applied_as_a_person_types_it(fresh: ControlPlane) -> None:
    kubectl = fresh.kubectl
    applied = kubectl("apply", "-f", f"{ROOT}/crds/")
    assert applied.returncode == 0, applied.stderr
    assert len(applied.stdout.splitlines()) == len(KINDS)
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{kind.resource.crd_name}" for kind in KINDS), check=True)
    kubectl("create", "namespace", "exchange-kernel-system", check=True)
    for folder in ("rbac", "admission"):
        applied = kubectl("apply", "-f", f"{ROOT}/manifests/{folder}/")
        assert applied.returncode == 0, applied.stderr
    assert kubectl("apply", "-k", f"{ROOT}/manifests").returncode == 0, "and so is all of it at once"

    applied = kubectl("apply", "-f", f"{EXAMPLES}/")
    assert applied.returncode == 0, applied.stderr
    assert len(applied.stdout.splitlines()) == len(list(EXAMPLES.glob("*.yaml"))) + 1, "each file is one object, and the account comes with its Secret"
    before = kubectl(*CONTENTS, check=True).stdout
    again = kubectl("apply", "-f", f"{EXAMPLES}/")
    assert (again.returncode, again.stderr) == (0, "")
    assert kubectl(*CONTENTS, check=True).stdout == before, "kubectl may call a group `configured`, for its members' defaults; nothing of it is changed"


#: All but resourceVersion: the first update of an object stores the default status that reading it had shown all along.
CONTENTS = ("get", "oi,og,xa,secrets", "-o", "jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.generation} {.spec} {.data}{end}")


def test_the_examples_can_be_taken_away_and_applied_again(fresh: ControlPlane) -> None:
    """Nothing among them is in the way of another."""
    kubectl = fresh.kubectl
    assert kubectl("apply", "-f", f"{EXAMPLES}/").returncode == 0
    kubectl("delete", "oi,og", "--all", "--wait=false", check=True)
    for left in kubectl("get", "oi,og", "-o", "name", check=True).stdout.split():
        kubectl("patch", left, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')      # no operator runs that lets them go
    eventually(lambda: not kubectl("get", "oi,og", "-o", "name", check=True).stdout, within=60, what="they are gone")
    applied = kubectl("apply", "-f", f"{EXAMPLES}/")
    assert applied.returncode == 0, applied.stderr


def test_with_an_operator_each_example_becomes_what_its_comment_says(desk, tmp_path: Path) -> None:
    trading, here = desk.trading, tmp_path / "examples"
    trading.run("delete", "xa", "main", "--timeout=60s")
    shutil.copytree(EXAMPLES, here, ignore=lambda folder, names: [name for name in names if not name.endswith(".yaml")])
    account = (here / "account.yaml").read_text()
    for there, this in (("http://exchange-kernel-simulated:8080", desk.exchange.rest), ("ws://exchange-kernel-simulated:8080", desk.exchange.websocket),
                        ("simulated-api-key", API_KEY), ("simulated-api-secret", API_SECRET)):
        account = account.replace(there, this)
    (here / "account.yaml").write_text(account)
    desk.start()
    trading.run("apply", "-f", f"{here}/")
    trading.await_account("simulated")
    for name in ("market-order", "spend-order"):
        trading.wait(name, "Succeeded")
    for name in ("limit-order", "keyed-order", "maker-order", "deleted-order"):
        trading.wait(name, "Ready")
        assert trading.status(name)["state"] == "Open"
    trading.wait("immediate-order", "Finished")
    trading.wait("denied-order", "Finished")
    assert trading.status("denied-order")["state"] == "Denied"
    trading.run("wait", "--for=condition=Ready", "og/oco", "og/bracket", "--timeout=60s")
    trading.run("delete", "oi", "deleted-order", "--timeout=60s")
