"""The embedded control plane keeps what it promises: RBAC, garbage collection, namespaces that end, faults, and no process left behind."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from typer.testing import CliRunner

from exchange_kernel.cli.cluster import app
from exchange_kernel.cli.controlplane import ControlPlane, ControlPlaneError
from exchange_kernel.cli.controlplane.processes import command_line
from tests.cluster.operating import settled
from tests.support import eventually

#: The first test to need the binaries may have to build them.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Shared by the tests that leave it as they found it, each in a namespace of its own."""
    with ControlPlane.start(tmp_path_factory.mktemp("plane"), fsync=False) as plane:
        yield plane


@pytest.fixture
def own_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """For a test that stops it or takes it apart."""
    with ControlPlane.start(tmp_path / "own", fsync=False) as plane:
        yield plane


@pytest.fixture
def namespace(plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("_", "-").partition("[")[0][:63].rstrip("-")
    plane.kubectl("create", "namespace", name, check=True)
    return str(name)


def processes_of(dir: Path) -> list[int]:
    """Every process whose command line names the directory, whatever a pid file says."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if any(f"{dir}/" in argument or argument == str(dir) for argument in command_line(pid))]


def apply(plane: ControlPlane, *objects: dict[str, object]) -> None:
    plane.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(objects), check=True)


def a_config_map(name: str, namespace: str, **metadata: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, **metadata}}


def a_definition(group: str) -> dict[str, object]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"probes.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "probes", "singular": "probe", "kind": "Probe"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}]},
    }


def exists(plane: ControlPlane, *what: str) -> bool:
    done = plane.kubectl("get", *what, "--ignore-not-found", "--output=name", check=True)
    return bool(done.stdout.strip())


# --- as in production --------------------------------------------------------------------------------------------------------


def test_a_user_without_a_role_is_forbidden(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    ann = plane.kubectl.as_user(plane.kubeconfig_for("ann", ["traders"], tmp_path / "ann"))
    refused = ann("get", "configmaps", f"--namespace={namespace}")
    assert 'configmaps is forbidden: User "ann" cannot list resource "configmaps"' in refused.stderr


def test_a_group_of_a_certificate_is_granted_what_its_role_says(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    plane.kubectl("create", "rolebinding", "traders", "--clusterrole=view", "--group=traders", f"--namespace={namespace}", check=True)
    ann = plane.kubectl.as_user(plane.kubeconfig_for("ann", ["traders"], tmp_path / "ann"))
    eventually(lambda: ann("get", "configmaps", f"--namespace={namespace}").returncode == 0, within=60, what="ann may list config maps")
    assert "is forbidden" in ann("create", "configmap", "mine", f"--namespace={namespace}").stderr


def test_nobody_enters_without_a_certificate(plane: ControlPlane) -> None:
    trusting = ssl.create_default_context(cafile=plane.dir / "pki" / "ca.crt")
    status, _ = ControlPlane._ask(urlsplit(plane.url).port or 0, "/readyz", trusting)
    assert status == 401


def test_a_client_of_the_api_server_cannot_go_round_it_to_etcd(plane: ControlPlane) -> None:
    port = json.loads((plane.dir / "cluster.json").read_text())["etcd_port"]
    with pytest.raises(OSError, match=r"(?i)certificate|unknown ca|reset|eof"):
        ControlPlane._ask(port, "/health", plane._context("etcd-ca", "admin"))


def test_what_is_owned_is_collected(plane: ControlPlane, namespace: str) -> None:
    plane.kubectl("create", "configmap", "owner", f"--namespace={namespace}", check=True)
    uid = plane.kubectl("get", "configmap", "owner", f"--namespace={namespace}", "--output=jsonpath={.metadata.uid}", check=True).stdout
    apply(plane, a_config_map("child", namespace, ownerReferences=[{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}]))
    plane.kubectl("delete", "configmap", "owner", f"--namespace={namespace}", check=True)
    eventually(lambda: not exists(plane, "configmap", "child", f"--namespace={namespace}"), within=60, what="the child is collected")


def test_a_new_kind_is_collected_once_the_controllers_were_restarted(plane: ControlPlane, namespace: str) -> None:
    apply(plane, a_definition("gc.example.com"))
    plane.kubectl("wait", "--for=condition=Established", "crd/probes.gc.example.com", check=True)
    plane.restart_controllers()
    probe = {"apiVersion": "gc.example.com/v1", "kind": "Probe", "metadata": {"name": "owner", "namespace": namespace}}
    apply(plane, probe)
    uid = plane.kubectl("get", "probe", "owner", f"--namespace={namespace}", "--output=jsonpath={.metadata.uid}", check=True).stdout
    owned = {"ownerReferences": [{"apiVersion": "gc.example.com/v1", "kind": "Probe", "name": "owner", "uid": uid}]}
    apply(plane, probe | {"metadata": {"name": "child", "namespace": namespace, **owned}})
    plane.kubectl("delete", "probe", "owner", f"--namespace={namespace}", check=True)
    eventually(lambda: not exists(plane, "probe", "child", f"--namespace={namespace}"), within=25, what="the child is collected")


def test_a_namespace_ends_with_all_that_is_in_it(plane: ControlPlane, namespace: str) -> None:
    apply(plane, a_config_map("inside", namespace))
    plane.kubectl("delete", "namespace", namespace, "--wait=false", check=True)
    eventually(lambda: not exists(plane, "namespace", namespace), within=60, what="the namespace is gone")


def test_a_namespace_has_a_service_account_that_can_have_tokens(plane: ControlPlane, namespace: str) -> None:
    eventually(lambda: exists(plane, "serviceaccount", "default", f"--namespace={namespace}"), within=60, what="the default service account")
    token = plane.kubectl("create", "token", "default", f"--namespace={namespace}", check=True).stdout.strip()
    config = yaml.safe_load(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = plane.dir / "run" / "service-account.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    said = plane.kubectl.as_user(path)("auth", "whoami", check=True).stdout
    assert f"system:serviceaccount:{namespace}:default" in said


def test_writes_to_our_kinds_are_audited_and_nothing_else_is(plane: ControlPlane, namespace: str) -> None:
    apply(plane, a_definition("exchange-kernel.io"))
    plane.kubectl("wait", "--for=condition=Established", "crd/probes.exchange-kernel.io", check=True)
    apply(plane, {"apiVersion": "exchange-kernel.io/v1", "kind": "Probe", "metadata": {"name": "seen", "namespace": namespace}},
          a_config_map("unseen", namespace))
    plane.kubectl("patch", "probe.exchange-kernel.io", "seen", f"--namespace={namespace}", "--subresource=status", "--type=merge",
                  '--patch={"status":{"phase":"Open"}}', check=True)

    def audited() -> list[tuple[str, str, str]]:
        events = [json.loads(line) for line in plane.audit_log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [(event["verb"], event["objectRef"]["resource"], event["objectRef"].get("subresource", ""))
                for event in events if event["objectRef"].get("namespace") == namespace]

    assert settled(audited, other_than=[]) == [("create", "probes", ""), ("patch", "probes", "status")]


def test_a_mutating_admission_policy_is_kept_without_a_flag(plane: ControlPlane) -> None:
    served = plane.kubectl("api-resources", "--api-group=admissionregistration.k8s.io", "--output=name", check=True).stdout
    assert "mutatingadmissionpolicies.admissionregistration.k8s.io" in served.split()


# --- faults, and several at once ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grace", [5.0, 0.0], ids=["asked", "killed"])
def test_the_api_server_comes_back_with_its_port_and_data(own_plane: ControlPlane, grace: float) -> None:
    own_plane.kubectl("create", "configmap", "kept", check=True)
    before = own_plane.url
    own_plane.stop_apiserver(grace=grace)
    assert own_plane.kubectl("get", "configmap", "kept").returncode != 0
    own_plane.start_apiserver()
    assert own_plane.url == before
    assert exists(own_plane, "configmap", "kept")


def test_a_stopped_cluster_goes_on_with_its_data(tmp_path: Path) -> None:
    with ControlPlane.start(tmp_path / "own", fsync=False) as plane:
        plane.kubectl("create", "configmap", "kept", check=True)
    with ControlPlane.start(tmp_path / "own", fsync=False) as plane:
        assert exists(plane, "configmap", "kept")


def test_two_side_by_side_know_nothing_of_each_other(plane: ControlPlane, own_plane: ControlPlane) -> None:
    assert urlsplit(plane.url).port != urlsplit(own_plane.url).port
    own_plane.kubectl("create", "configmap", "only-here", check=True)
    assert not exists(plane, "configmap", "only-here")
    refused = plane.kubectl("get", "namespaces", f"--server={own_plane.url}")
    assert "certificate" in refused.stderr


def test_a_directory_in_use_is_refused(plane: ControlPlane) -> None:
    with pytest.raises(ControlPlaneError, match=r"a cluster runs in .* already: take it down"):
        ControlPlane.start(plane.dir)
    assert plane.running


# --- nothing is left behind --------------------------------------------------------------------------------------------------


def test_stopping_leaves_no_process(own_plane: ControlPlane) -> None:
    assert len(processes_of(own_plane.dir)) == 4        # three servers, and what watches over them
    own_plane.stop()
    assert processes_of(own_plane.dir) == []


def test_servers_end_with_the_process_that_started_them_however_it_ends(tmp_path: Path) -> None:
    program = ("import sys, time; from pathlib import Path; from exchange_kernel.cli.controlplane import ControlPlane; "
               "plane = ControlPlane.start(Path(sys.argv[1]), fsync=False); print('up', flush=True); time.sleep(600)")
    owner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "own")], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        assert len(processes_of(tmp_path / "own")) == 5
        owner.kill()
    eventually(lambda: not processes_of(tmp_path / "own"), within=60, what="the servers are stopped")


def test_a_cluster_for_a_person_is_up_listed_and_down_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The programs stay where they are cached; only the list of clusters is this test's own.
    monkeypatch.setattr("exchange_kernel.cli.cluster._known", lambda: tmp_path / "clusters")

    def run(*arguments: str) -> str:
        result = CliRunner(env={"KUBECONFIG": "/nonexistent/production"}).invoke(app, list(arguments))
        assert result.exit_code == 0, result.output
        return result.output

    dir, kubeconfig = tmp_path / "data", tmp_path / "kubeconfig"
    try:
        said = run("up", "--name=trial", f"--dir={dir}", f"--kubeconfig={kubeconfig}")
        kubectl = Path(said.split("Use it with\n")[1].split()[0])
        listed = subprocess.run([kubectl, f"--kubeconfig={kubeconfig}", "get", "namespaces", "--output=name"], text=True, capture_output=True,
                                check=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
        assert "namespace/default" in listed.stdout
        assert "is up already" in run("up", "--name=trial", f"--dir={dir}")
        assert run("status").splitlines()[1].split() == ["trial", "up", ControlPlane.open(dir).url, str(kubeconfig)]

        run("down", "--name=trial", "--keep-data")
        assert run("status").splitlines()[1].split()[:2] == ["trial", "stopped"]
        assert processes_of(dir) == []
        run("up", "--name=trial", f"--dir={dir}")
    finally:
        run("down", f"--dir={dir}")
    assert processes_of(dir) == []
    assert (dir.exists(), kubeconfig.exists(), list((tmp_path / "clusters").iterdir())) == (False, False, [])


def test_errors_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange_kernel.cli.cluster._known", lambda: tmp_path / "clusters")
    result = CliRunner().invoke(app, ["down", "--name=absent"])
    assert result.exit_code == 1
    assert "error: there is no cluster in" in result.output
    assert "Traceback" not in result.output
