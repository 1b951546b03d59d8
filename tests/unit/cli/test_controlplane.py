"""What the control plane is made of and which cluster is meant, without starting one: see tests/cluster/test_controlplane.py for that."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from exchange_kernel.cli.controlplane import Binaries, ControlPlane, ControlPlaneError, Progress, cache_dir, find_binaries, find_target
from exchange_kernel.cli.controlplane.binaries import _advice, content_hash, link_flags
from exchange_kernel.cli.controlplane.certificates import Authority
from exchange_kernel.cli.controlplane.compiling import Packages
from exchange_kernel.cli.controlplane.kubectl import Kubectl
from exchange_kernel.cli.controlplane.paths import SOURCE, write_private
from exchange_kernel.cli.controlplane.processes import Server, command_line
from exchange_kernel.cli.controlplane.progress import spell
from exchange_kernel.cli.controlplane.servers import _reserved, valid_name
from exchange_kernel.cli.controlplane.toolchain import find_toolchain, needed_version
from tests.support import eventually


@pytest.fixture
def source(tmp_path: Path) -> Path:
    copy = tmp_path / "source"
    copy.mkdir()
    for name in ("go.mod", "go.sum", "main.go", "requirements.lock"):
        shutil.copy(SOURCE / name, copy / name)
    return copy


def a_program(path: Path, script: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def some_assets(home: Path, *names: str) -> Path:
    for name in names:
        a_program(home / name)
    return home


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def a_build(environ: dict[str, str], source: Path) -> Path:
    home = cache_dir(environ) / "controlplane" / content_hash(source)
    return some_assets(home, "etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


# --- what a build is named by ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
def test_a_changed_input_is_another_build(source: Path, name: str) -> None:
    before = content_hash(source)
    (source / name).write_text((source / name).read_text() + "\n// changed\n")
    assert content_hash(source) != before


def test_changed_link_flags_are_another_build(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content_hash(source)
    monkeypatch.setattr("exchange_kernel.cli.controlplane.binaries.link_flags", lambda source: "-s")
    assert content_hash(source) != before


def test_what_is_not_built_does_not_change_the_build(source: Path) -> None:
    before = content_hash(source)
    (source / "README.md").write_text("words")
    assert content_hash(source) == before


def test_the_version_is_the_one_go_mod_requires(source: Path) -> None:
    text = (source / "go.mod").read_text()
    (source / "go.mod").write_text(text.replace("k8s.io/kubernetes v1.36.3", "k8s.io/kubernetes v1.37.0-rc.1"))
    flags = link_flags(source)
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"-X {package}.gitVersion=v1.37.0-rc.1 -X {package}.gitMajor=1 -X {package}.gitMinor=37" in flags


@pytest.mark.parametrize(("environ", "want"), [
    ({"EXCHANGE_KERNEL_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own"),
    ({"EXCHANGE_KERNEL_CACHE": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/exchange-kernel"),
    ({}, str(Path.home() / ".cache" / "exchange-kernel")),
])
def test_the_cache_is_where_it_is_wanted(environ: dict[str, str], want: str) -> None:
    assert str(cache_dir(environ)) == want


# --- where the programs come from --------------------------------------------------------------------------------------------


def test_kubebuilder_assets_go_before_a_build(source: Path, tmp_path: Path) -> None:
    environ = {"EXCHANGE_KERNEL_CACHE": str(tmp_path / "cache")}
    a_build(environ, source)
    assets = some_assets(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl", "kube-controller-manager")
    found = find_binaries(environ=environ | {"KUBEBUILDER_ASSETS": str(assets)}, source=source)
    assert found == Binaries(assets, has_controller_manager=True)


def test_assets_without_a_controller_manager_are_used_and_that_is_said(source: Path, tmp_path: Path) -> None:
    assets = some_assets(tmp_path / "assets", "etcd", "kube-apiserver", "kubectl")
    said = io.StringIO()
    assert not find_binaries(Progress(said), {"KUBEBUILDER_ASSETS": str(assets)}, source).has_controller_manager
    assert "has no kube-controller-manager: running without" in said.getvalue()


def test_incomplete_assets_are_an_error_and_not_a_reason_to_build(source: Path, tmp_path: Path) -> None:
    assets = some_assets(tmp_path / "assets", "etcd")
    with pytest.raises(ControlPlaneError, match="has no kube-apiserver and no kubectl: point it to a directory that has, or unset it"):
        find_binaries(environ={"KUBEBUILDER_ASSETS": str(assets)}, source=source)


def test_what_was_built_is_not_built_again(source: Path, tmp_path: Path) -> None:
    environ = {"EXCHANGE_KERNEL_CACHE": str(tmp_path), "PATH": ""}
    home = a_build(environ, source)
    assert find_binaries(environ=environ, source=source).home == home


def test_outside_of_a_checkout_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneError, match="run this from a source checkout, or point KUBEBUILDER_ASSETS"):
        find_binaries(environ={"EXCHANGE_KERNEL_CACHE": str(tmp_path)}, source=tmp_path / "absent")


FAKE_GO = """
case "$1" in
env) echo "$MODULES" ;;
mod) shift 2; echo "$GOMAXPROCS $*" >> "$BUILDS.fetched"; {fetch} ;;
version) echo "go version go99.1 linux/amd64" ;;
build)
  echo one >> "$BUILDS"
  echo "go: downloading example.com/module v1.0.0" >&2
  {then}
  while [ "$1" != -o ]; do shift; done
  printf '#!/bin/sh\\n' > "$2"; chmod +x "$2" ;;
esac
"""


@pytest.fixture
def building(source: Path, tmp_path: Path) -> dict[str, str]:
    """An environment whose Go builds a program in no time, and counts its builds in the file $BUILDS."""
    a_program(tmp_path / "bin" / "go", FAKE_GO.format(then="true", fetch="true"))
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    return {"PATH": path, "BUILDS": str(tmp_path / "builds"), "MODULES": str(tmp_path / "modules"), "EXCHANGE_KERNEL_CACHE": str(tmp_path / "cache")}


def test_a_build_has_every_program_and_leaves_nothing_else_behind(source: Path, building: dict[str, str]) -> None:
    home = find_binaries(environ=building, source=source).home
    assert names_in(home) == ["controlplane", "etcd", "kube-apiserver", "kube-controller-manager", "kubectl"]
    assert names_in(home.parent) == [home.name, f"{home.name}.lock"]


def test_two_builders_build_once(source: Path, building: dict[str, str]) -> None:
    build = ("import sys; from pathlib import Path; from exchange_kernel.cli.controlplane import find_binaries; "
             "find_binaries(source=Path(sys.argv[1]))")
    both = [subprocess.Popen([sys.executable, "-c", build, str(source)], env={**os.environ, **building}) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert Path(building["BUILDS"]).read_text().splitlines() == ["one"]


def test_a_failed_build_shows_what_go_said_and_what_to_do(source: Path, building: dict[str, str], tmp_path: Path) -> None:
    a_program(tmp_path / "bin" / "go", FAKE_GO.format(then='echo "dial tcp: lookup proxy.golang.org: no such host" >&2; exit 1', fetch="exit 1"))
    with pytest.raises(ControlPlaneError, match=r"(?s)no such host.*check that the Go module proxy .* can be reached"):
        find_binaries(environ=building, source=source)
    assert not (cache_dir(building) / "controlplane" / content_hash(source)).exists()


@pytest.mark.parametrize(("said", "want"), [
    ("write /x: no space left on device", "free about 6 GB"),
    ("compile: signal: killed", "ran out of memory"),
    ("verifying module: checksum mismatch", "restore hack/controlplane/go.sum"),
    ("main.go:3:1: syntax error", "run `go build .`"),
])
def test_advice_fits_what_go_said(said: str, want: str) -> None:
    assert want in _advice(said, SOURCE)


# --- how long it takes -------------------------------------------------------------------------------------------------------


def test_modules_that_are_not_there_are_fetched_many_at_a_time_before_the_build(source: Path, building: dict[str, str], tmp_path: Path) -> None:
    (source / "go.sum").write_text("example.com/A v1.0.0 h1:x=\nexample.com/A v1.0.0/go.mod h1:x=\nexample.com/b v2.0.0 h1:x=\nexample.com/c v0.1.0/go.mod h1:x=\n")
    here = tmp_path / "modules" / "cache" / "download" / "example.com" / "!a" / "@v" / "v1.0.0.zip"
    here.parent.mkdir(parents=True)
    here.write_text("")
    said = io.StringIO()
    find_binaries(Progress(said), building, source)
    assert Path(building["BUILDS"] + ".fetched").read_text() == "16 example.com/b@v2.0.0\n", "not what is there, and not what only go.mod files are needed of"
    assert said.getvalue().splitlines() == [
        "fetching the control plane's modules: about 200 MB", "building the control plane: about six minutes on two idle cores, once"]


def test_a_fetch_that_fails_leaves_the_last_word_to_the_build(source: Path, building: dict[str, str], tmp_path: Path) -> None:
    a_program(tmp_path / "bin" / "go", FAKE_GO.format(then="true", fetch="exit 1"))
    assert find_binaries(environ=building, source=source).kubectl.exists()


@pytest.mark.parametrize(("reason", "named", "elapsed", "want"), [
    ("nothing is known yet", [], 5, "0 of 4 packages"),
    ("too early to say", ["small"], 5, "1 of 4 packages"),
    ("a small package says little of the large ones", ["small"], 60, "1 of 4 packages"),
    ("half of the source in a minute: the other half and linking", ["small", "middle", "half"], 60, "3 of 4 packages, about 1 minute left"),
    ("what is named twice, or is not asked about, is not counted", ["middle", "middle", "other"], 30, "1 of 4 packages, about 2 minutes left"),
    ("all are named", ["small", "middle", "half", "rest"], 200, "all 4 packages, linking"),
], ids=lambda value: value if isinstance(value, str) and " " in value and "packages" not in value else None)
def test_how_much_is_done_and_left_goes_by_the_size_of_the_source(reason: str, named: list[str], elapsed: float, want: str) -> None:
    assert Packages({"small": 10, "middle": 200, "half": 290, "rest": 500}).told(named, elapsed) == want


def test_without_a_plan_it_counts() -> None:
    assert (Packages().told(["a", "b"], 60), Packages().told([], 60)) == ("2 packages", "")


# --- what the PATH has -------------------------------------------------------------------------------------------------------


def on_path(home: Path, *, kubernetes: str = "v1.36.1", etcd: str = "3.6.4") -> dict[str, str]:
    """Two folders of programs that say their versions, as those of a distribution may lie."""
    a_program(home / "one" / "etcd", f'echo "etcd Version: {etcd}"; echo "Go Version: go1.24.0"')
    a_program(home / "one" / "kube-apiserver", f'echo "Kubernetes {kubernetes}"')
    a_program(home / "two" / "kube-controller-manager", f'echo "Kubernetes {kubernetes}"')
    a_program(home / "two" / "kubectl", f'[ -z "$KUBECONFIG" ] && echo "Client Version: {kubernetes}"; echo "Kustomize Version: v5.7.1"')
    return {"PATH": f"{home / 'one'}:{home / 'two'}:/usr/bin:/bin", "EXCHANGE_KERNEL_CACHE": str(home / "cache"), "KUBECONFIG": "/somebody/elses"}


def test_programs_of_the_right_version_on_the_path_spare_the_build_and_are_named(source: Path, tmp_path: Path) -> None:
    said = io.StringIO()
    found = find_binaries(Progress(said), on_path(tmp_path), source)
    assert found.has_controller_manager
    assert {name: (found.home / name).resolve().parent.name for name in names_in(found.home)} == {
        "etcd": "one", "kube-apiserver": "one", "kube-controller-manager": "two", "kubectl": "two"}
    assert f"using {tmp_path}/one/etcd 3.6.4" in said.getvalue()
    assert find_binaries(environ=on_path(tmp_path), source=source) == found


@pytest.mark.parametrize(("reason", "programs", "says"), [
    ("another minor version of Kubernetes has other flags", {"kubernetes": "v1.35.2"}, "kube-apiserver is 1.35.2 and 1.36 is needed"),
    ("and so has another etcd", {"etcd": "3.4.30"}, "etcd is 3.4.30 and 3.6 is needed"),
    ("who says no version is not trusted", {"etcd": "?"}, "etcd is of no version that could be read"),
], ids=lambda value: value if isinstance(value, str) and " " in value else None)
def test_programs_of_another_version_are_not_used_and_that_is_said(reason: str, programs: dict[str, str], says: str, source: Path, tmp_path: Path,
                                                                   building: dict[str, str]) -> None:
    said, environ = io.StringIO(), on_path(tmp_path / "path", **programs)
    found = find_binaries(Progress(said), building | {"PATH": f"{tmp_path / 'bin'}:{environ['PATH']}"}, source)
    assert says in said.getvalue()
    assert (found.home / "controlplane").exists(), "it is built"


def test_three_of_the_four_on_the_path_are_no_control_plane(source: Path, tmp_path: Path, building: dict[str, str]) -> None:
    environ = on_path(tmp_path / "path")
    (tmp_path / "path" / "two" / "kube-controller-manager").unlink()
    said = io.StringIO()
    found = find_binaries(Progress(said), building | {"PATH": f"{tmp_path / 'bin'}:{environ['PATH']}"}, source)
    assert (found.home / "controlplane").exists()
    assert "PATH" not in said.getvalue()


def test_what_was_built_goes_before_the_path(source: Path, tmp_path: Path) -> None:
    environ = on_path(tmp_path)
    assert find_binaries(environ=environ, source=source).home.name.startswith("path-")
    assert find_binaries(environ=environ, source=source).home != a_build(environ, source) == find_binaries(environ=environ, source=source).home


# --- which Go ----------------------------------------------------------------------------------------------------------------


def test_go_on_path_is_used_if_it_is_as_new_as_go_mod_asks(source: Path, building: dict[str, str], tmp_path: Path) -> None:
    found = find_toolchain(source, Progress.silent(), building)
    assert (found.program, found.from_path) == (tmp_path / "bin" / "go", True)


def test_an_old_go_on_path_gives_way_to_the_wheel(source: Path, building: dict[str, str], tmp_path: Path) -> None:
    a_program(tmp_path / "bin" / "go", 'echo "go version go1.19.2 linux/amd64"')
    with pytest.MonkeyPatch.context() as patch:
        wheel = a_program(tmp_path / "wheel" / "go", 'echo "go version go99.2 linux/amd64"')
        patch.setattr("exchange_kernel.cli.controlplane.toolchain._from_wheel", lambda lock, progress, environ: wheel)
        found = find_toolchain(source, Progress.silent(), building)
    assert (found.program, found.from_path) == (wheel, False)


def test_go_is_told_what_makes_a_build_the_same_everywhere(source: Path, building: dict[str, str]) -> None:
    ambient = {"GOFLAGS": "-race", "GOPROXY": "https://proxy.example", "CGO_ENABLED": "1"}
    assert find_toolchain(source, Progress.silent(), building).environ(ambient) == {
        "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off",
        "GOPROXY": "https://proxy.example",
    }


def test_the_lock_names_hashes_and_no_index() -> None:
    lock = (SOURCE / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "index" not in lock.split("\n", 1)[1]
    assert needed_version(SOURCE) >= (1, 26)


# --- which cluster -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ambient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's production, where kubectl and every client library would find it."""
    config = tmp_path / "home" / ".kube" / "config"
    config.parent.mkdir(parents=True)
    config.write_text("production")
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return config


def test_an_ambient_kubeconfig_is_never_the_cluster(ambient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = ControlPlane.open(a_stopped_cluster(tmp_path / "own"))
    monkeypatch.setattr(ControlPlane, "start", lambda dir, **options: started)
    with find_target(None, dir=tmp_path / "own") as found:
        assert found.control_plane is started
        assert found.kubeconfig == tmp_path / "own" / "kubeconfig"


def test_an_ambient_kubeconfig_does_not_reach_kubectl(ambient: Path, tmp_path: Path) -> None:
    program = a_program(tmp_path / "kubectl", 'echo "$KUBECONFIG|$KUBERC|$1"')
    assert Kubectl(program, tmp_path / "own")("get", "pods").stdout == f"|off|--kubeconfig={tmp_path / 'own'}\n"


def test_a_cluster_named_explicitly_starts_none(ambient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ControlPlane, "start")
    (named := tmp_path / "named").write_text("")
    environ = {"PATH": str(a_program(tmp_path / "bin" / "kubectl").parent), "EXCHANGE_KERNEL_CACHE": str(tmp_path / "cache")}
    with find_target(str(named), dir=tmp_path / "own", environ=environ) as found:
        assert (found.kubeconfig, found.kubectl.kubeconfig, found.control_plane) == (named, named, None)
        assert found.kubectl.path == tmp_path / "bin" / "kubectl"


def test_a_named_kubeconfig_that_is_missing_is_an_error(tmp_path: Path) -> None:
    named = find_target(tmp_path / "absent", dir=tmp_path / "own")
    with pytest.raises(ControlPlaneError, match="does not exist: name one that does"), named:
        pass


# --- what it writes and deletes ----------------------------------------------------------------------------------------------


def a_stopped_cluster(dir: Path, name: str = "mine") -> Path:
    write_private(dir / "cluster.json",
                  f'{{"name": "{name}", "kubeconfig": "{dir / "kubeconfig"}", "home": "/nowhere", "has_controller_manager": true}}')
    return dir


def no_programs(home: Path) -> Binaries:
    return Binaries(home, has_controller_manager=True)


def test_a_directory_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ControlPlaneError, match="is not empty and holds no cluster: name another directory"):
        ControlPlane.start(tmp_path, programs=no_programs(tmp_path))


def test_a_kubeconfig_of_another_cluster_is_not_overwritten(tmp_path: Path) -> None:
    (other := tmp_path / "config").write_text(yaml.safe_dump({"clusters": [{"name": "production"}]}))
    with pytest.raises(ControlPlaneError, match="exists and is not this cluster's: name another file with --kubeconfig"):
        ControlPlane.start(tmp_path / "own", kubeconfig=other, programs=no_programs(tmp_path))
    assert "production" in other.read_text()


def test_removing_leaves_what_others_put_there(tmp_path: Path) -> None:
    home = a_stopped_cluster(tmp_path / "own")
    (home / "etcd").mkdir()
    (home / "notes.txt").write_text("")
    ControlPlane.open(home).remove()
    assert names_in(home) == ["notes.txt"]


def test_there_being_no_cluster_is_said(tmp_path: Path) -> None:
    with pytest.raises(ControlPlaneError, match="there is no cluster in"):
        ControlPlane.open(tmp_path)


def test_a_program_that_does_not_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    a_program(tmp_path / "bin" / "etcd", "echo 'bad disk' >&2; exit 1")
    with pytest.raises(ControlPlaneError, match=r"(?s)bad disk.*etcd ended while starting: its last words are above, its log is"):
        ControlPlane.start(tmp_path / "own", programs=no_programs(tmp_path / "bin"))


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    for path in Authority.create("ca").client("admin").write(tmp_path, "admin"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_client_certificate_carries_user_and_groups() -> None:
    subject = x509.load_pem_x509_certificate(Authority.create("ca").client("ann", ("dev", "ops")).certificate).subject
    assert [attribute.value for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["ann"]
    assert [attribute.value for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["dev", "ops"]


@pytest.mark.parametrize(("name", "want"), [("default", True), ("a-1", True), ("", False), ("../up", False), ("-a", False), ("A", False)])
def test_a_name_cannot_lead_elsewhere(name: str, want: bool) -> None:
    assert valid_name(name) is want


# --- whose process it is -----------------------------------------------------------------------------------------------------


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Server]:
    """A server named as a real one that does what its script, which is its mark, says: sleep."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "etcd").symlink_to("/bin/sh")
    script = a_program(tmp_path / "script", "while :; do sleep 0.05; done")
    server = Server("etcd", str(script), log=tmp_path / "logs" / "etcd.log", pid_file=tmp_path / "run" / "etcd.pid")
    yield server
    server.stop(grace=0)


def seen_by_another(server: Server) -> Server:
    """The same server, as a process sees it that did not start it."""
    return Server(server.name, server.mark, server.log, server.pid_file)


def test_a_server_is_found_again_by_its_pid_file(etcd: Server, tmp_path: Path) -> None:
    etcd.start(tmp_path / "bin" / "etcd", [])
    eventually(lambda: seen_by_another(etcd).pid() == etcd.pid(), within=60, what="the pid file leads to the server")
    seen_by_another(etcd).stop(grace=5)
    eventually(lambda: etcd.pid() is None, within=60, what="its parent has noticed")


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(etcd: Server, tmp_path: Path) -> None:
    stranger = subprocess.Popen([str(tmp_path / "bin" / "etcd"), str(a_program(tmp_path / "other", "while :; do sleep 0.05; done"))])
    try:
        eventually(lambda: command_line(stranger.pid), within=60, what="the stranger runs")
        etcd.pid_file.parent.mkdir()
        etcd.pid_file.write_text(f"{stranger.pid}\n")
        assert etcd.pid() is None
        etcd.stop(grace=5)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", ["", "no number", "4194305"])
def test_a_pid_file_that_leads_nowhere_is_no_server(etcd: Server, content: str) -> None:
    etcd.pid_file.parent.mkdir()
    etcd.pid_file.write_text(content)
    assert etcd.pid() is None


def test_a_server_that_does_not_listen_is_killed_after_its_grace(etcd: Server, tmp_path: Path) -> None:
    a_program(tmp_path / "script", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    etcd.start(tmp_path / "bin" / "etcd", [])
    eventually(lambda: "ready" in etcd.said(), within=60, what="it ignores SIGTERM")
    etcd.stop(grace=0.2)
    assert (etcd.pid(), etcd.pid_file.exists()) == (None, False)


def test_a_server_is_given_nothing_ambient(etcd: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_NAME", "somebody's")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    a_program(tmp_path / "script", "env; echo done; while :; do sleep 0.05; done")
    etcd.start(tmp_path / "bin" / "etcd", [])
    eventually(lambda: "done" in etcd.said(), within=60, what="it has said what it was given")
    assert "ETCD_NAME" not in etcd.said()
    assert "HTTPS_PROXY" not in etcd.said()


# --- ports -------------------------------------------------------------------------------------------------------------------


def test_a_reserved_port_is_for_our_server_only() -> None:
    with _reserved(0) as held, socket.socket() as server, socket.socket() as stranger:
        address = held.getsockname()
        with pytest.raises(OSError, match="in use"):
            stranger.bind(address)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(address)
        server.listen()
        with socket.create_connection(address, timeout=5):
            pass


def test_a_port_taken_meanwhile_is_replaced() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        with _reserved(stranger.getsockname()[1]) as held:
            assert held.getsockname()[1] != stranger.getsockname()[1]


# --- what a person sees ------------------------------------------------------------------------------------------------------


def test_without_a_terminal_a_line_comes_now_and_then() -> None:
    said = io.StringIO()
    with Progress(said, every=0.0).step("building the control plane", expect="about six minutes the first time") as tick:
        tick("")
        tick("812 of 2710 packages, about 4 minutes left")
    assert said.getvalue().splitlines() == [
        "building the control plane: about six minutes the first time",
        "building the control plane: 0s, about six minutes the first time",
        "building the control plane: 0s, 812 of 2710 packages, about 4 minutes left",
    ]


def test_lines_do_not_come_more_often_than_wanted() -> None:
    said = io.StringIO()
    with Progress(said, every=60).step("waiting") as tick:
        tick("still")
    assert said.getvalue().splitlines() == ["waiting"]


@pytest.mark.parametrize(("seconds", "want"), [(4.9, "4s"), (59, "59s"), (60, "1m00s"), (375, "6m15s")])
def test_time_is_spelled_as_people_do(seconds: float, want: str) -> None:
    assert spell(seconds) == want
