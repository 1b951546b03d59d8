"""Who we are to an API server, by kubeconfig."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from exchange_kernel.kube.config import access

WITH_A_COMMAND = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "echo", "interactiveMode": "Never", "args": [
    '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "from-a-command"}}']}}


@pytest.mark.parametrize(("user", "token"), [
    pytest.param({"token": "of-a-service-account"}, "of-a-service-account", id="a token, as a ServiceAccount has"),
    pytest.param(WITH_A_COMMAND, "from-a-command", id="a command that gives one, as clouds have"),
    pytest.param({}, None, id="neither: a client certificate, or nobody"),
])
def test_a_kubeconfig_says_who_asks(user: dict, token: str | None, tmp_path: Path):
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here", "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1/"}}], "users": [{"name": "me", "user": user}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    found = access(tmp_path / "kubeconfig")
    assert (found.server, found.token()) == ("https://127.0.0.1:1", token)
