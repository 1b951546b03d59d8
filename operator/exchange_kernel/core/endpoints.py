"""Where an account's requests may go: hosts, judged as they are written. Pure; which address a name has is the network's say.

What can be read in two ways is no address here: a user before the host, percent-encoding, letters beyond ASCII, an IPv4 address in another than its usual
form. Redirects are refused at the wire (`exchanges/ccxt/wire.py`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

#: The reason of the condition on an account whose requests would go elsewhere.
ENDPOINT_NOT_ALLOWED = "EndpointNotAllowed"

#: A cluster's own names under its usual domain. Another domain is named by the allow-list.
CLUSTER_NAMES = (".svc", ".svc.cluster.local")

_HOST = r"\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+"
_ADDRESS = re.compile(rf"(?P<scheme>https?|wss?)://(?P<host>{_HOST})(:(?P<port>[0-9]{{1,5}}))?(?P<path>/[^\s?#\\]*)?")
_ENTRY = re.compile(rf"(?P<host>(\*\.)?({_HOST}))(:(?P<port>[0-9]{{1,5}}))?")
_LABEL = re.compile(r"[0-9a-z]([-0-9a-z]{0,61}[0-9a-z])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Host:
    """What is connected to. `name` is in lower case, without a dot at its end; an IP address is in its shortest form."""

    name: str
    port: int
    encrypted: bool
    path: str = ""

    @property
    def near(self) -> bool:
        """Whether it is loopback, or a name that only a cluster's own DNS knows."""
        try:
            address = ipaddress.ip_address(self.name)
        except ValueError:
            return self.name == "localhost" or "." not in self.name or self.name.endswith(CLUSTER_NAMES)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            return address.ipv4_mapped.is_loopback
        return address.is_loopback


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the operator's list: a host, or with `below` each name that ends in it; at one port, or at any."""

    name: str
    below: bool = False
    port: int | None = None

    def covers(self, host: Host) -> bool:
        if self.port is not None and self.port != host.port:
            return False
        return host.name.endswith(f".{self.name}") if self.below else host.name == self.name


def host_of(address: str) -> Host | None:
    """The host in an http(s) or ws(s) address; None if there is any doubt about it."""
    found = _ADDRESS.fullmatch(address)
    if found is None or (name := _canonical(found["host"])) is None:
        return None
    encrypted = found["scheme"] in ("https", "wss")
    port = int(found["port"]) if found["port"] else 443 if encrypted else 80
    return Host(name, port, encrypted, (found["path"] or "").rstrip("/")) if 0 < port < 65536 else None


def allowed(entry: str) -> Allowed:
    """An entry of the list: `host`, `host:port`, `*.suffix` or `*.suffix:port`. Raises ValueError with a sentence."""
    found = _ENTRY.fullmatch(entry)
    below = found is not None and found["host"].startswith("*.")
    name = _canonical(found["host"].removeprefix("*.")) if found is not None else None
    port = int(found["port"]) if found is not None and found["port"] else None
    if found is None or name is None or (port is not None and not 0 < port < 65536) or (below and not _is_name(name)):
        raise ValueError(f"{entry!r} names no host: write gateway.example.com, gateway.example.com:8443 or *.example.com, without https:// and a path; "
                         "names beyond ASCII as xn--…")
    return Allowed(name, below, port)


def why_refused(
    rest: str | None, websocket: str | None, *, environment: str, own: Iterable[Host], listed: Iterable[Allowed], own_ca: bool = False
) -> str | None:
    """What is wrong with an account's endpoint, as a sentence for its owner; None if its requests may go there.

    Without `rest` it is the venue's own, without `websocket` the stream is where `rest` is. `own`: the venue's own hosts in this environment. `own_ca`: the
    account brings a CA, by which anybody could be the venue: it is taken only for hosts that are listed, and for simulated exchanges.
    """
    own, listed = tuple(own), tuple(listed)
    hosts = [host_of(address) for address in (rest, websocket) if address is not None]
    if None in hosts:
        return ("The host in spec.endpoint can't be read without doubt, so nothing is sent there. Write a plain address such as "
                "https://gateway.example.com/binance: no user, no percent-encoding, an IP address in its usual form, and a name beyond ASCII as xn--…")
    for host in filter(None, hosts):
        if any(entry.covers(host) for entry in listed):
            continue
        if environment == "Simulated":
            if not host.near:
                return (f"{host.name} is not on this machine and not in this cluster, so no simulated exchange is looked for there, and nothing is sent. Use "
                        f"localhost or NAME.NAMESPACE.svc in spec.endpoint, or {_have_it_listed(host)}")
        elif own_ca and _is_own(host, own):
            return _own_ca(host)
        elif not _is_own(host, own):
            return (f"{host.name} at port {host.port} is none of the exchange's own hosts, so nothing is sent there. Leave it out of spec.endpoint, or "
                    f"{_have_it_listed(host)}")
    if own_ca and environment != "Simulated" and rest is None:
        unlisted = next((host for host in own if not any(entry.covers(host) for entry in listed)), None)
        return _own_ca(unlisted) if unlisted is not None else None
    return None


def why_proxy_refused(proxy: str, listed: Iterable[Allowed]) -> str | None:
    """Return why an account's proxy is not taken, as a sentence; None if it is.

    Only a proxy that is listed is taken, a near one too: whoever may write accounts could have any service of the cluster connected to.
    """
    if (host := host_of(proxy)) is None:
        return "The host in spec.endpoint.proxy can't be read without doubt, so nothing is sent there. Write a plain address such as http://proxy.example.com:3128."
    if any(entry.covers(host) for entry in listed):
        return None
    return f"{host.name} at port {host.port} in spec.endpoint.proxy is no proxy that the operator may use: leave it out, or {_have_it_listed(host)}"


def source_of(environment: str, rest: str | None) -> str:
    """Where an account that may be opened learns which one it is: all ways to a real exchange are one, each simulated exchange is one of its own."""
    if environment != "Simulated" or rest is None:
        return "Exchange"
    host = host_of(rest)
    return rest if host is None else f"{host.name}:{host.port}{host.path}"


def _is_own(host: Host, own: Iterable[Host]) -> bool:
    return any((host.name, host.port, host.encrypted) == (one.name, one.port, one.encrypted) for one in own)


def _have_it_listed(host: Host) -> str:
    name = f"[{host.name}]" if ":" in host.name else host.name
    return f"have whoever runs the operator add it to its list (--allow-endpoint {name}, or allowedEndpoints of the chart)."


def _own_ca(host: Host) -> str:
    return (f"spec.endpoint.caSecretRef is not taken for the exchange's own host {host.name}, where it would let anybody pass for the exchange. "
            f"Leave it out, or {_have_it_listed(host)}")


def _canonical(host: str) -> str | None:
    """A host in the one form in which hosts are compared; None if it is none, or an address in a form that others read differently."""
    if host.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            return None
    name = host.lower().removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):       # as resolvers have it, a number at the end makes an IPv4 address of it: 127.1, 2130706433
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            return None
    return name if _is_name(name) else None


def _is_name(name: str) -> bool:
    labels = name.split(".")
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels) and not _NUMBER.fullmatch(labels[-1])
