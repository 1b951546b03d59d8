"""Which hosts an account may name, and which it may not: a table of the tricks by which one passes for another."""

from __future__ import annotations

import pytest

from exchange_kernel.core.endpoints import Host, allowed, host_of, source_of, why_refused

BINANCE = (Host("api.binance.com", 443, True), Host("stream.binance.com", 9443, True), Host("fapi.binance.com", 443, True))
LISTED = tuple(allowed(entry) for entry in ("gateway.example.com", "Ported.Example.com:8443", "*.gateways.example.com", "gw.desk.svc", "10.1.2.3", "[fd00::5]:8443"))


def refused(rest, websocket=None, *, environment="Live", listed=(), own_ca=False):
    return why_refused(rest, websocket, environment=environment, own=() if environment == "Simulated" else BINANCE, listed=listed, own_ca=own_ca)


@pytest.mark.parametrize(("address", "why"), [
    ("https://api.binance.com", "the venue's own host"),
    ("https://api.binance.com/", "with a slash"),
    ("https://API.Binance.COM:443/some/path", "in upper case, with its port and a path"),
    ("https://api.binance.com.", "its absolute name"),
    ("https://fapi.binance.com", "another host of its own"),
    ("wss://stream.binance.com:9443/ws", "its stream"),
])
def test_the_venues_own_hosts_are_allowed(address, why):
    assert refused(address) is None, why
    assert refused(address, environment="Sandbox") is None, "given the sandbox's hosts"


@pytest.mark.parametrize(("address", "why"), [
    ("https://evil.example.com", "another host"),
    ("https://api.binance.com.evil.example.com", "the venue's name in front"),
    ("https://evil-api.binance.com", "a longer label"),
    ("https://xapi.binance.com", "a longer name"),
    ("https://binance.com", "the venue's site and not its API"),
    ("https://api.binance.com@evil.example.com", "userinfo"),
    ("https://api.binance.com:443@evil.example.com", "userinfo with a password"),
    ("https://user@api.binance.com", "a user at the venue's own host, even"),
    ("https://api.binance.com%2eevil.example.com", "percent-encoding"),
    ("https://api%2Ebinance.com", "percent-encoding of the very name"),
    ("https://api.binance.com\\@evil.example.com", "a backslash, which some take for a slash"),
    ("https://api.binance.com#@evil.example.com", "a fragment"),
    ("https://api.binance.com?@evil.example.com", "a query"),
    ("https://api.binance.com\t.evil.example.com", "a tab, which some pass over"),
    ("https://api.binance.com\n", "a line's end"),
    ("https://api.binance.com..", "two dots"),
    ("https://.api.binance.com", "an empty label"),
    ("https://аpi.binance.com", "a Cyrillic letter"),
    ("https://api。binance。com", "full-width dots"),
    ("https://ⓐpi.binance.com", "what normalises to the name"),
    ("https://xn--pi-7kc.binance.com", "the same as punycode"),
    ("https://api.binance.com:8443", "another port of its own host"),
    ("https://api.binance.com:0", "no port"),
    ("https://api.binance.com:65979", "a port that wraps round to 443"),
    ("https://api.binance.com:", "an empty port"),
    ("http://api.binance.com", "its plain port"),
    ("http://api.binance.com:443", "plain, at its port"),
    ("https:///api.binance.com", "no host"),
    ("https:api.binance.com", "no slashes"),
    ("//api.binance.com", "no scheme"),
    ("ftp://api.binance.com", "another scheme"),
    ("https://", "nothing"),
    ("https://localhost", "loopback is for simulated exchanges"),
    ("https://127.0.0.1", "and its address"),
    ("https://[::1]", "in IPv6 too"),
    ("https://gw.desk.svc", "a cluster's name"),
    ("https://gateway", "a service's name"),
    ("https://10.1.2.3", "an address"),
    ("https://[fd00::5]:8443", "an IPv6 address"),
    ("https://_x.binance.com", "an underscore"),
])
def test_a_live_account_goes_nowhere_else(address, why):
    assert refused(address) is not None, why
    assert refused(None, address.replace("http", "ws", 1)) is not None, f"{why}: nor does its stream alone"
    assert refused("https://api.binance.com", address) is not None, f"{why}: nor beside a good one"


@pytest.mark.parametrize("address", [
    "http://localhost:8080", "http://LOCALHOST", "http://localhost.", "http://127.0.0.1:1", "http://127.8.9.10", "http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]",
    "http://[::ffff:127.0.0.1]", "http://exchange-kernel-simulated.desk.svc:8080", "http://sim.desk.svc.cluster.local", "http://sim.desk.svc.cluster.local.",
    "http://sim", "https://sim.desk.svc", "http://pod-0.sim.desk.svc.cluster.local",
])
def test_a_simulated_exchange_is_on_this_machine_or_in_this_cluster(address):
    assert refused(address, environment="Simulated") is None
    assert refused(address, environment="Simulated", own_ca=True) is None


@pytest.mark.parametrize(("address", "why"), [
    ("https://api.binance.com", "the venue itself is none"),
    ("http://sim.example.com", "a public name"),
    ("http://sim.desk", "a name and a namespace, which may be a public name too"),
    ("http://sim.desk.svc.example.com", "somebody's domain with svc in it"),
    ("http://sim.desk.svc.cluster.local.example.com", "with the whole of it"),
    ("http://svc.cluster.local.example.com", "in front"),
    ("http://localhost.example.com", "localhost in front"),
    ("http://xlocalhost.com", "or within"),
    ("http://127.0.0.1.example.com", "an address in front"),
    ("http://127.1", "an address in short, which is judged by nobody alike"),
    ("http://2130706433", "as one number"),
    ("http://134744072", "8.8.8.8 as one number"),
    ("http://0x08080808", "in hexadecimal"),
    ("http://0x8.8.8.8", "half of it"),
    ("http://010.8.8.8", "in octal"),
    ("http://8.8.8.8", "an address elsewhere"),
    ("http://8.8.8.8.", "with a dot"),
    ("http://0.0.0.0", "every address of this machine"),
    ("http://169.254.169.254", "the cloud's metadata"),
    ("http://10.0.0.1", "a private address is not this machine"),
    ("http://[::]", "every address in IPv6"),
    ("http://[::ffff:8.8.8.8]", "elsewhere, by IPv6"),
    ("http://[64:ff9b::8.8.8.8]", "elsewhere, translated"),
    ("http://[fe80::1%25eth0]", "a zone"),
    ("http://[::1].example.com", "an address and more"),
    ("http://::1", "without brackets"),
    ("http://localhost@example.com", "userinfo"),
    ("http://127.0.0.1%2f@example.com", "userinfo with an encoded slash"),
])
def test_and_nowhere_else(address, why):
    assert refused(address, environment="Simulated") is not None, why
    assert refused("http://localhost", address.replace("http", "ws", 1), environment="Simulated") is not None, f"{why}: nor is its stream"


@pytest.mark.parametrize(("address", "may"), [
    ("https://gateway.example.com/binance", True),
    ("https://gateway.example.com:8443", True),
    ("https://GATEWAY.example.com.", True),
    ("https://sub.gateway.example.com", False),
    ("https://ported.example.com:8443", True),
    ("https://ported.example.com", False),
    ("https://one.gateways.example.com", True),
    ("https://a.b.gateways.example.com:444", True),
    ("https://gateways.example.com", False),
    ("https://evilgateways.example.com", False),
    ("https://one.gateways.example.com.evil.com", False),
    ("https://gw.desk.svc", True),
    ("http://gw.desk.svc", True),
    ("https://gw.other.svc", False),
    ("https://gw.desk.svc.cluster.local", False),
    ("https://10.1.2.3", True),
    ("https://10.1.2.30", False),
    ("https://[fd00:0:0::5]:8443", True),
    ("https://[fd00::5]", False),
])
def test_the_operators_list_says_what_else(address, may):
    for environment in ("Live", "Sandbox"):
        assert (refused(address, environment=environment, listed=LISTED) is None) is may
        assert (refused(address, address.replace("http", "ws", 1), environment=environment, listed=LISTED, own_ca=True) is None) is may
    assert (refused(address, environment="Simulated", listed=LISTED) is None) is (may or ".svc" in address)


def test_a_ca_of_the_accounts_own_would_make_anybody_the_exchange():
    assert "caSecretRef" in refused(None, own_ca=True)
    assert "caSecretRef" in refused("https://api.binance.com", own_ca=True)
    assert "caSecretRef" in refused(None, "wss://gateway.example.com", own_ca=True, listed=LISTED), "what is no stream would go to the venue's own"
    assert refused("https://gateway.example.com", own_ca=True, listed=LISTED) is None
    inspected = (allowed("*.binance.com"),)
    assert refused(None, own_ca=True, listed=inspected) is None, "where the administrator says so, as behind a proxy that reads all"
    assert refused("https://api.binance.com", own_ca=True, listed=inspected) is None


@pytest.mark.parametrize("entry", [
    "", "*", "*.", "*.*.example.com", "a.*.example.com", "https://gateway.example.com", "gateway.example.com/path", "user@gateway.example.com", "gateway.example.com:",
    "gateway.example.com:0", "gateway.example.com:99999", "*.10.1.2.3", "*.[::1]", "127.1", "[::1", "::1", "gätway.example.com", "gateway example.com", "gateway.example.com\n",
    ".example.com", "gateway..example.com", "gateway.example.com,other.example.com",
])
def test_an_entry_that_names_no_host_is_refused_with_the_way_to_write_it(entry):
    with pytest.raises(ValueError, match=r"write gateway\.example\.com"):
        allowed(entry)


@pytest.mark.parametrize(("address", "environment", "listed"), [
    ("https://gateway.example.com", "Live", "--allow-endpoint gateway.example.com"),
    ("http://sim.example.com", "Simulated", "--allow-endpoint sim.example.com"),
    ("https://[fd00::5]", "Live", "--allow-endpoint [fd00::5]"),
])
def test_a_refusal_says_what_to_add_and_that_it_would_do(address, environment, listed):
    assert f"({listed}, or allowedEndpoints of the chart)" in refused(address, environment=environment)
    assert refused(address, environment=environment, listed=(allowed(listed.split()[1]),)) is None


def test_what_cannot_be_read_is_not_repeated_to_a_terminal():
    assert "\x1b" not in refused("https://api.binance.com\x1b[2J")


@pytest.mark.parametrize(("environment", "rest", "source"), [
    ("Live", None, "Exchange"), ("Live", "https://gateway.example.com", "Exchange"), ("Sandbox", None, "Exchange"),
    ("Simulated", "http://SIM.desk.svc.:8080/x/", "sim.desk.svc:8080/x"), ("Simulated", "http://[0::1]", "::1:80"), ("Simulated", "http://a_b", "http://a_b"),
])
def test_all_ways_to_a_real_exchange_are_one_and_each_simulated_exchange_is_its_own(environment, rest, source):
    assert source_of(environment, rest) == source


def test_the_host_that_is_judged_is_the_host_that_is_connected_to():
    from urllib.parse import urlsplit

    from yarl import URL

    for address in ("https://API.Binance.COM:443/some/path", "http://[0:0::1]:8080/x", "https://api.binance.com/@evil.example.com", "https://a.b.c", "http://127.0.0.1"):
        host = host_of(address)
        assert host is not None
        assert (URL(address, encoded=True).host.lower(), URL(address, encoded=True).port) == (urlsplit(address).hostname.lower(), host.port)
        assert host_of(f"{address.split('://')[0]}://{'[' + host.name + ']' if ':' in host.name else host.name}:{host.port}").name == host.name
