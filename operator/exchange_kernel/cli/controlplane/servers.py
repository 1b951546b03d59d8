"""A control plane in a directory: etcd, kube-apiserver and kube-controller-manager on loopback, with TLS and RBAC as in production.

    DIR/cluster.json          what is needed to find it again        DIR/logs/    one per server, and the audit log
    DIR/kubeconfig            the administrator's                    DIR/pki/     authorities, keys, certificates
    DIR/run/*.pid             the running servers                    DIR/etcd/    the data
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from exchange_kernel.cli.controlplane.binaries import CONTROLLER_MANAGER, Binaries, find_binaries
from exchange_kernel.cli.controlplane.certificates import Authority, Credential, signing_key_kept_in
from exchange_kernel.cli.controlplane.errors import ControlPlaneError
from exchange_kernel.cli.controlplane.kubectl import Kubectl
from exchange_kernel.cli.controlplane.paths import write_private
from exchange_kernel.cli.controlplane.processes import Server
from exchange_kernel.cli.controlplane.progress import Progress
from exchange_kernel.cli.controlplane.waiting import locked, until

LOOPBACK = "127.0.0.1"

#: Seconds until a server must be ready (it takes 1 to 4 on an idle machine of two cores), and that it has to stop by itself.
READY_WITHIN = 90.0
STOP_WITHIN = 5.0

#: The ones that need no nodes: what ownerReferences, namespaces, service accounts and aggregated roles promise holds as in production.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
)

#: Every write to our kinds, so that a test can count them; nothing else.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "resources": [{"group": "exchange-kernel.io"}],
         "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "None"},
    ],
}

#: Runs beside a control plane that belongs to a process: however that process ends, the pipe closes and the servers are stopped.
GUARD = """
import sys
sys.stdin.read()
from pathlib import Path
from exchange_kernel.cli.controlplane import stop_leftovers
stop_leftovers(Path(sys.argv[1]))
"""


@dataclass(slots=True)
class Record:
    """What `cluster.json` holds. A name and two ports: the rest follows from the directory."""

    name: str
    kubeconfig: str
    home: str
    has_controller_manager: bool
    etcd_port: int = 0
    apiserver_port: int = 0

    @classmethod
    def read(cls, dir: Path) -> Record:
        try:
            return cls(**json.loads((dir / "cluster.json").read_text()))
        except FileNotFoundError:
            raise ControlPlaneError(f"there is no cluster in {dir}: `exchange-kernel cluster status` lists those there are") from None
        except (ValueError, TypeError):
            raise ControlPlaneError(f"{dir / 'cluster.json'} is not readable: remove {dir} and start the cluster anew") from None

    def write(self, dir: Path) -> None:
        write_private(dir / "cluster.json", json.dumps(asdict(self), indent=2) + "\n")


class ControlPlane:
    """Use it in a `with`, or call `stop`. It ends with the process that started it, unless `detach` sets it free."""

    def __init__(self, dir: Path, record: Record) -> None:
        self.dir = dir
        self._record = record
        self._pki = dir / "pki"
        self._held: dict[str, socket.socket] = {}
        self._guard: subprocess.Popen[bytes] | None = None
        self._fsync = True
        server = partial(self._server, dir)
        self._etcd = server("etcd", f"--data-dir={dir / 'etcd'}")
        self._apiserver = server("kube-apiserver", f"--tls-cert-file={self._pki / 'apiserver.crt'}")
        self._controllers = server(CONTROLLER_MANAGER, f"--kubeconfig={self._pki / 'controller-manager.kubeconfig'}")

    @staticmethod
    def _server(dir: Path, name: str, mark: str) -> Server:
        return Server(name, mark, log=dir / "logs" / f"{name}.log", pid_file=dir / "run" / f"{name}.pid")

    # --- starting and stopping ---------------------------------------------------------------------------------------------

    @classmethod
    def start(cls, dir: Path, *, name: str = "exchange-kernel", kubeconfig: Path | None = None, fsync: bool = True,
              progress: Progress | None = None, programs: Binaries | None = None) -> ControlPlane:
        """Ready when it returns. `dir` is empty, absent, or of a cluster stopped before, which then goes on with its data.

        Without `fsync` etcd does not wait for the disk: quicker, and only for tests. Raises ControlPlaneError.
        """
        dir, progress = dir.expanduser().resolve(), progress or Progress.silent()
        programs = programs or find_binaries(progress)
        _claim(dir)
        with locked(dir / "lock", progress, f"another process is starting a cluster in {dir}"):
            resumed = Record.read(dir) if (dir / "cluster.json").exists() else None
            kubeconfig = (kubeconfig or (Path(resumed.kubeconfig) if resumed else dir / "kubeconfig")).expanduser().absolute()
            record = Record(resumed.name if resumed else name, str(kubeconfig), str(programs.home), programs.has_controller_manager,
                            resumed.etcd_port if resumed else 0, resumed.apiserver_port if resumed else 0)
            plane = cls(dir, record)
            if plane.running:
                raise ControlPlaneError(
                    f"a cluster runs in {dir} already: take it down (`exchange-kernel cluster down --dir {dir}`), or use another directory")
            plane._fsync = fsync
            _refuse_to_overwrite(kubeconfig, record.name)
            plane._start_all(progress)
        return plane

    @classmethod
    def open(cls, dir: Path) -> ControlPlane:
        """One that was started before, by this process or another; it may be running or not. Raises ControlPlaneError if there is none."""
        dir = dir.expanduser().resolve()
        return cls(dir, Record.read(dir))

    def _start_all(self, progress: Progress) -> None:
        try:
            self.stop()                     # what a killed predecessor left half running
            self._watch_over()
            self._reserve_ports()
            self._write_files()
            with progress.step("starting the control plane", expect="a few seconds") as tick:
                self._start_etcd(partial(tick, "etcd"))
                self._start_apiserver(partial(tick, "kube-apiserver"))
                if self.has_controllers:
                    self._start_controllers(partial(tick, CONTROLLER_MANAGER))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops what runs and keeps the data. May be called twice."""
        # The API server goes before etcd: without it, its orderly shutdown hangs for minutes and keeps the port.
        for server in (self._controllers, self._apiserver, self._etcd):
            server.stop(STOP_WITHIN)
        self._let_go()

    def remove(self) -> None:
        """Stops it and deletes all it has written, and nothing else."""
        self.stop()
        if _is_ours(self.kubeconfig, self.name):
            self.kubeconfig.unlink(missing_ok=True)
        for part in ("etcd", "logs", "pki", "run"):
            shutil.rmtree(self.dir / part, ignore_errors=True)
        for part in ("cluster.json", "lock"):
            (self.dir / part).unlink(missing_ok=True)
        with suppress(OSError):             # kept if something of somebody else's is in it
            self.dir.rmdir()

    def detach(self) -> None:
        """From now on it outlives this process; `ControlPlane.open(dir)` finds it again."""
        self._let_go()

    def stop_apiserver(self, *, grace: float = STOP_WITHIN) -> None:
        """Takes the API server away, for tests of faults; with `grace=0` it is killed at once. etcd and the port are kept."""
        self._apiserver.stop(grace)

    def start_apiserver(self) -> None:
        """The same API server again: same port, same etcd, same certificates. Ready when it returns."""
        self._start_apiserver()

    def compact_etcd(self) -> int:
        """Forgets all history up to now, as etcd's regular compaction does: who resumes a watch from before is told 410. The revision."""
        context, port = self._context("etcd-ca", "etcd-client"), self._record.etcd_port

        def ask(path: str, body: dict[str, Any]) -> dict[str, Any]:
            status, answer = self._ask(port, path, context, body)
            if status != 200:
                raise ControlPlaneError(f"etcd answers {status} to {path}: {answer.decode(errors='replace')}")
            return dict(json.loads(answer))

        revision = int(ask("/v3/kv/range", {"key": "AA==", "count_only": True})["header"]["revision"])
        ask("/v3/kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    def restart_controllers(self) -> None:
        """The garbage collector looks for new kinds every 30 s; restarted, it knows those that are installed now."""
        self._controllers.stop(STOP_WITHIN)
        self._start_controllers()

    def __enter__(self) -> ControlPlane:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # --- what it offers ----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self._record.apiserver_port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's: a client certificate of the group system:masters."""
        return Path(self._record.kubeconfig)

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(Path(self._record.home) / "kubectl", self.kubeconfig)

    @property
    def audit_log(self) -> Path:
        """One JSON object a line (audit.k8s.io/v1 Event) for each write to a kind of ours. Written just after the answer is sent."""
        return self.dir / "logs" / "audit.log"

    @property
    def has_controllers(self) -> bool:
        return self._record.has_controller_manager

    @property
    def pids(self) -> Mapping[str, int]:
        """The running servers, by name."""
        return {server.name: pid for server in (self._etcd, self._apiserver, self._controllers) if (pid := server.pid()) is not None}

    @property
    def running(self) -> bool:
        return {"etcd", "kube-apiserver"} <= self.pids.keys()

    def version(self) -> str:
        """What the API server calls itself, such as v1.36.3. Raises OSError if it does not answer."""
        status, body = self._ask(self._record.apiserver_port, "/version", self._admin_context())
        return str(json.loads(body)["gitVersion"]) if status == 200 else f"unknown ({status})"

    def kubeconfig_for(self, user: str, groups: Sequence[str], path: Path) -> Path:
        """Writes a kubeconfig for this user and these groups, who may do what RBAC lets them. Valid for a year."""
        return write_private(path, self._kubeconfig_text(user, Authority.kept_in(self._pki, "ca").client(user, groups)))

    # --- the servers -------------------------------------------------------------------------------------------------------

    def _start_etcd(self, tick: Callable[[], None]) -> None:
        pki, port = self._pki, self._record.etcd_port
        self._etcd.start(Path(self._record.home) / "etcd", [
            f"--listen-client-urls=https://{LOOPBACK}:{port}", f"--advertise-client-urls=https://{LOOPBACK}:{port}", "--socket-reuse-port",
            f"--cert-file={pki / 'etcd.crt'}", f"--key-file={pki / 'etcd.key'}", f"--trusted-ca-file={pki / 'etcd-ca.crt'}",
            "--client-cert-auth",
            # It has no peers; etcd insists on listening for them, so it does where none can find or enter it.
            f"--listen-peer-urls=https://{LOOPBACK}:0", f"--initial-advertise-peer-urls=https://{LOOPBACK}:0",
            f"--initial-cluster=default=https://{LOOPBACK}:0",
            f"--peer-cert-file={pki / 'etcd.crt'}", f"--peer-key-file={pki / 'etcd.key'}", f"--peer-trusted-ca-file={pki / 'etcd-ca.crt'}",
            "--peer-client-cert-auth", "--log-level=warn",
            *([] if self._fsync else ["--unsafe-no-fsync"]),
        ])
        context = self._context("etcd-ca", "etcd-client")
        self._await(self._etcd, lambda: self._ask(port, "/health", context)[0] == 200, tick)

    def _start_apiserver(self, tick: Callable[[], None] = lambda: None) -> None:
        pki = self._pki
        self._apiserver.start(Path(self._record.home) / "kube-apiserver", [
            f"--etcd-servers=https://{LOOPBACK}:{self._record.etcd_port}", f"--etcd-cafile={pki / 'etcd-ca.crt'}",
            f"--etcd-certfile={pki / 'etcd-client.crt'}", f"--etcd-keyfile={pki / 'etcd-client.key'}",
            f"--bind-address={LOOPBACK}", f"--secure-port={self._record.apiserver_port}", "--permit-port-sharing",
            # Loopback is no address for endpoints, and nothing here routes to the service `kubernetes`.
            f"--advertise-address={LOOPBACK}", "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
            f"--tls-private-key-file={pki / 'apiserver.key'}", f"--client-ca-file={pki / 'ca.crt'}",
            "--anonymous-auth=false", "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            f"--service-account-key-file={pki / 'service-accounts.pub'}",
            f"--audit-policy-file={pki / 'audit-policy.yaml'}", f"--audit-log-path={self.audit_log}", "--audit-log-maxbackup=1",
            # Without it an orderly shutdown waits a minute for the watches to end by themselves.
            "--shutdown-watch-termination-grace-period=1s",
        ])
        context = self._admin_context()
        self._await(self._apiserver, lambda: self._ask(self._record.apiserver_port, "/readyz", context)[0] == 200, tick)

    def _start_controllers(self, tick: Callable[[], None] = lambda: None) -> None:
        self._controllers.start(Path(self._record.home) / CONTROLLER_MANAGER, [
            f"--controllers={','.join(CONTROLLERS)}", "--use-service-account-credentials", "--leader-elect=false", "--secure-port=0",
            f"--root-ca-file={self._pki / 'ca.crt'}", f"--service-account-private-key-file={self._pki / 'service-accounts.key'}",
            "--kube-api-qps=200", "--kube-api-burst=400",       # the defaults make the end of a namespace a matter of seconds
        ])
        # It serves nothing, so it is ready when it has done something: made the default service account.
        context = self._admin_context()
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._await(self._controllers, lambda: self._ask(self._record.apiserver_port, account, context)[0] == 200, tick)

    def _await(self, server: Server, ready: Callable[[], bool], tick: Callable[[], None]) -> None:
        def ready_or_dead() -> bool:
            if server.pid() is None:
                return True
            try:
                return ready()
            except (OSError, http.client.HTTPException):
                return False

        in_time = until(ready_or_dead, READY_WITHIN, tick)
        if in_time and server.pid() is not None:
            return
        what = f"did not become ready within {READY_WITHIN:.0f} s" if not in_time else "ended while starting"
        raise ControlPlaneError(f"{server.said()}\n{server.name} {what}: its last words are above, its log is {server.log}")

    @staticmethod
    def _ask(port: int, path: str, context: ssl.SSLContext, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """A POST with a body, else a GET."""
        connection = http.client.HTTPSConnection(LOOPBACK, port, context=context, timeout=5)
        try:
            connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _admin_context(self) -> ssl.SSLContext:
        return self._context("ca", "admin")

    def _context(self, authority: str, credential: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._pki / f"{authority}.crt")
        context.load_cert_chain(self._pki / f"{credential}.crt", self._pki / f"{credential}.key")
        return context

    # --- files, ports and the guard ----------------------------------------------------------------------------------------

    def _write_files(self) -> None:
        pki = self._pki
        ca, etcd_ca = Authority.kept_in(pki, "ca"), Authority.kept_in(pki, "etcd-ca")
        etcd_ca.server("etcd").write(pki, "etcd")
        etcd_ca.client("kube-apiserver").write(pki, "etcd-client")
        ca.server("kube-apiserver").write(pki, "apiserver")
        signing_key_kept_in(pki, "service-accounts")
        admin = ca.client("admin", ("system:masters",))
        admin.write(pki, "admin")
        write_private(pki / "audit-policy.yaml", yaml.safe_dump(AUDIT_POLICY))
        self.kubeconfig_for("system:kube-controller-manager", (), pki / "controller-manager.kubeconfig")
        write_private(self.kubeconfig, self._kubeconfig_text("admin", admin))
        self._record.write(self.dir)

    def _kubeconfig_text(self, user: str, credential: Credential) -> str:
        def encoded(pem: bytes) -> str:
            return base64.b64encode(pem).decode()

        authority = encoded((self._pki / "ca.crt").read_bytes())
        pair = {"client-certificate-data": encoded(credential.certificate), "client-key-data": encoded(credential.key)}
        who = f"{self.name}-{user}"
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.name, "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": who, "user": pair}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": who}}],
            "current-context": self.name,
        }
        return yaml.safe_dump(config, sort_keys=False)

    def _reserve_ports(self) -> None:
        """Free ports that stay ours: the servers share them with sockets held here, so nobody else gets one between two starts."""
        self._held = {"etcd": _reserved(self._record.etcd_port), "apiserver": _reserved(self._record.apiserver_port)}
        self._record.etcd_port = self._held["etcd"].getsockname()[1]
        self._record.apiserver_port = self._held["apiserver"].getsockname()[1]

    def _watch_over(self) -> None:
        self._guard = subprocess.Popen([sys.executable, "-P", "-c", GUARD, str(self.dir)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, start_new_session=True)

    def _let_go(self) -> None:
        if self._guard is not None:
            self._guard.kill()              # before its pipe is closed, or it would do its work
            self._guard.wait()
            if self._guard.stdin is not None:
                self._guard.stdin.close()
            self._guard = None
        for held in self._held.values():
            held.close()
        self._held = {}


def stop_leftovers(dir: Path) -> None:
    """Stops whatever still runs of a cluster in this directory; nothing happens if there is none."""
    with suppress(ControlPlaneError):
        ControlPlane.open(dir).stop()


def _claim(dir: Path) -> None:
    """Only an empty directory, or one that is a cluster's already: what is in it will be deleted one day."""
    if dir.exists() and not dir.is_dir():
        raise ControlPlaneError(f"{dir} is a file: name a directory")
    if dir.exists() and not (dir / "cluster.json").exists() and any(entry.name != "lock" for entry in dir.iterdir()):
        raise ControlPlaneError(f"{dir} is not empty and holds no cluster: name another directory, or empty it")
    dir.mkdir(parents=True, exist_ok=True, mode=0o700)


def _reserved(port: int) -> socket.socket:
    """Bound and not listening: first alone, so that a port in use is noticed, then shared with the server that will listen."""
    held = socket.socket()
    try:
        held.bind((LOOPBACK, port))
    except OSError:
        held.bind((LOOPBACK, 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return held


def _is_ours(kubeconfig: Path, name: str) -> bool:
    try:
        config = yaml.safe_load(kubeconfig.read_text())
        return [cluster["name"] for cluster in config["clusters"]] == [name]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return False


def _refuse_to_overwrite(kubeconfig: Path, name: str) -> None:
    if kubeconfig.exists() and not _is_ours(kubeconfig, name):
        raise ControlPlaneError(f"{kubeconfig} exists and is not this cluster's: name another file with --kubeconfig")


_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def valid_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None
