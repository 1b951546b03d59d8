"""The operator's list of endpoints: read before an account's Secret is, and refused at start if it names no host."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from exchange_kernel.cli.composition import _Opener
from exchange_kernel.cli.main import app
from exchange_kernel.core.endpoints import allowed
from exchange_kernel.reconcile.ports import NotConnectable
from tests.scripted import an_account_record


class NoSecretIsRead:
    async def get(self, path):
        raise AssertionError(f"{path} is read")


@pytest.mark.parametrize(("spec", "reason"), [
    ({"environment": "Live", "endpoint": {"rest": "https://evil.example.com"}}, "EndpointNotAllowed"),
    ({"environment": "Live", "endpoint": {"websocket": "wss://evil.example.com"}}, "EndpointNotAllowed"),
    ({"environment": "Live", "endpoint": {"rest": "https://api.binance.com", "websocket": "wss://evil.example.com"}}, "EndpointNotAllowed"),
    ({"environment": "Live", "endpoint": {"caSecretRef": {"name": "my-ca"}}}, "EndpointNotAllowed"),
    ({"environment": "Sandbox", "endpoint": {"rest": "https://evil.example.com"}}, "EndpointNotAllowed"),
    ({"environment": "Sandbox", "endpoint": {"rest": "https://api.binance.com"}}, "EndpointNotAllowed"),
    ({"environment": "Simulated", "endpoint": {"rest": "http://evil.example.com"}}, "EndpointNotAllowed"),
    ({"environment": "Simulated", "endpoint": {"rest": "http://localhost", "websocket": "ws://evil.example.com"}}, "EndpointNotAllowed"),
    ({"environment": "Live", "endpoint": {"proxy": "http://evil.example.com:3128"}}, "EndpointNotAllowed"),
    ({"environment": "Live", "endpoint": {"proxy": "http://localhost:3128"}}, "EndpointNotAllowed"),
    ({"environment": "Simulated", "endpoint": {"rest": "http://localhost", "proxy": "http://kube-dns.kube-system.svc:53"}}, "EndpointNotAllowed"),
    ({"environment": "Live", "exchange": "cryptopia", "endpoint": {"rest": "https://evil.example.com"}}, "UnknownExchange"),
])
async def test_where_nothing_may_be_sent_not_even_the_secret_is_read_and_nothing_is_tried_again(spec, reason):
    problem = await _Opener(NoSecretIsRead(), ()).open(an_account_record(**spec))
    assert isinstance(problem, NotConnectable)
    assert (problem.condition, problem.reason, problem.person) == ("Connected", reason, True)


@pytest.mark.parametrize("spec", [
    {"environment": "Live", "endpoint": None},
    {"environment": "Live", "endpoint": {"rest": "https://api.binance.com"}},
    {"environment": "Live", "endpoint": {"rest": "https://gateway.example.com", "caSecretRef": {"name": "my-ca"}}},
    {"environment": "Sandbox", "endpoint": {"rest": "https://testnet.binance.vision"}},
    {"environment": "Simulated", "endpoint": {"rest": "http://127.0.0.1:8080"}},
])
async def test_where_it_may_be_the_secret_is_read(spec):
    with pytest.raises(AssertionError, match="secrets/keys is read"):
        await _Opener(NoSecretIsRead(), (allowed("gateway.example.com"),)).open(an_account_record(**spec))


def test_a_list_that_names_no_host_is_refused_before_anything_begins():
    done = CliRunner().invoke(app, ["run", "--all-namespaces", "--allow-endpoint", "https://gateway.example.com/binance"])
    assert done.exit_code == 2
    assert "names no host: write gateway.example.com" in re.sub(r"[│\s]+", " ", done.output)


@pytest.mark.parametrize(("endpoint", "way"), [
    (None, "http://corp:3128"),
    ({"websocket": "wss://gateway.example.com"}, "http://corp:3128"),
    ({"rest": "https://gateway.example.com"}, "http://corp:3128"),
    ({"rest": "http://exchange.trading.svc:8080"}, None),
    ({"rest": "http://localhost:8080"}, None),
    ({"proxy": "http://mine:3128"}, "http://mine:3128"),
    ({"rest": "http://exchange.trading.svc:8080", "proxy": "http://mine:3128"}, "http://mine:3128"),
])
def test_the_operators_proxy_is_for_what_is_far_and_an_accounts_own_goes_before_it(endpoint, way):
    spec = an_account_record(environment="Live", endpoint=endpoint).spec
    assert _Opener(NoSecretIsRead(), (), "http://corp:3128")._way_to(spec.endpoint) == way


async def test_a_proxy_that_is_listed_is_used_by_whom_names_it():
    class Secrets:
        async def get(self, path):
            raise LookupError(path)

    spec = {"environment": "Live", "endpoint": {"proxy": "http://proxy.example.com:3128"}}
    with pytest.raises(LookupError):
        await _Opener(Secrets(), (allowed("proxy.example.com:3128"),)).open(an_account_record(**spec))
    refused = await _Opener(Secrets(), (allowed("proxy.example.com:8080"),)).open(an_account_record(**spec))
    assert refused.reason == "EndpointNotAllowed"


@pytest.mark.parametrize("written", ["proxy.example.com:3128", "https://proxy.example.com", "http://"])
def test_a_proxy_that_is_none_is_refused_at_start(written):
    ran = CliRunner().invoke(app, ["run", "--all-namespaces", "--proxy", written], env={"COLUMNS": "200"})
    assert ran.exit_code == 2
    assert "--proxy is an address such as http://proxy.example.com:3128" in re.sub(r"\s+", " ", ran.output)
