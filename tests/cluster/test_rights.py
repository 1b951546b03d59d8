"""Each cell of the tables in docs/security.md, tried on a real API server with a real token of the actor. Nothing is carried out: they are dry runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange_kernel.kube.client import Answer, ApiClient
from exchange_kernel.kube.config import access
from tests.cluster.desks import with_token
from tests.cluster.people import employ
from tests.support import aeventually

TABLE = yaml.safe_load((Path(__file__).parents[2] / "docs" / "rights.yaml").read_text())
API_VERSION = "exchange-kernel.io/v1alpha1"
PLACES = {"secrets": "/api/v1", "leases": "/apis/coordination.k8s.io/v1"}
CELLS = [pytest.param(deed, actor, id=f"{actor}: {deed['does']}") for deed in TABLE["deeds"] for actor in TABLE["actors"]]
OPERATOR = ("exchange-kernel-system", "exchange-kernel")


@dataclass(frozen=True)
class Town:
    """A namespace with one of each object, and a kubeconfig with the token of each actor."""

    namespace: str
    actors: dict[str, Path]


@pytest.fixture(scope="module")
def town(kube: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    namespace, dir = "rights", tmp_path_factory.mktemp("actors")
    kube.kubectl("create", "namespace", namespace)

    documents = [{"apiVersion": API_VERSION, **document} for document in TABLE["objects"].values()]
    kube.kubectl("--namespace", namespace, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))
    employ(kube, namespace, **{name: (*actor.get("roles", ()), *actor.get("rules", ())) for name, actor in TABLE["actors"].items() if not actor.get("operator")})
    kubeconfigs = {
        name: with_token(kube, OPERATOR if actor.get("operator") else (namespace, name), dir / name) for name, actor in TABLE["actors"].items()
    }
    yield Town(namespace, kubeconfigs)
    for kind in ("ordergroups", "orderintents", "exchangeaccounts"):
        for left in kube.kubectl("--namespace", namespace, "get", kind, "-o", "name").stdout.split():
            kube.kubectl("--namespace", namespace, "delete", left, "--wait=false")
            kube.kubectl("--namespace", namespace, "patch", left, "--type=merge", "-p", '{"metadata":{"finalizers":null}}', check=False)
    kube.kubectl("delete", "namespace", namespace, "--wait=false")


async def tried(town: Town, actor: str, request: dict[str, Any]) -> Answer:
    """The API server's answer to the request as a dry run."""
    resource, _, subresource = request["resource"].partition("/")
    path = f"{PLACES.get(resource, f'/apis/{API_VERSION}')}/namespaces/{request.get('namespace', town.namespace)}/{resource}"
    path += "".join(f"/{part}" for part in (request.get("name"), subresource) if part)
    async with ApiClient(access(town.actors[actor])) as api:
        match request["verb"]:
            case "get":
                return await api.get(path)
            case "create":
                return await api.create(f"{path}?dryRun=All", {"apiVersion": API_VERSION, **request["object"]})
            case "patch":
                return await api.patch(f"{path}?dryRun=All", request["patch"])
            case "delete":
                return await api.delete(f"{path}?dryRun=All")
            case verb:
                raise AssertionError(f"no such verb: {verb}")


@pytest.mark.parametrize(("deed", "actor"), CELLS)
async def test_a_cell_of_the_table(deed: dict[str, Any], actor: str, town: Town) -> None:
    may = actor in deed["may"]

    async def as_told() -> Answer:
        answer = await tried(town, actor, deed["request"])
        assert answer.status != 0, answer.message
        if may:
            assert answer.ok or answer.status == 404, f"{actor} may: {answer.message}"
        elif "keeps" in deed and answer.ok:
            assert deed["keeps"] in answer.body["metadata"]["finalizers"]
        else:
            assert answer.status in (403, 422), f"{actor} may not, and was let: {answer.message}"
            assert any(words in answer.message for words in ("cannot", *deed.get("says", ()))), answer.message
        return answer

    # Roles and policies take a moment to be in force.
    await aeventually(as_told, within=60, every=0.5, what=f"{actor} {'may' if may else 'may not'}: {deed['does']}")


@pytest.mark.parametrize("deed", [deed for deed in TABLE["deeds"] if "says" in deed], ids=lambda deed: deed["does"])
async def test_a_policy_refuses_who_has_the_right_by_rbac(deed: dict[str, Any], town: Town) -> None:
    answers = [await tried(town, actor, deed["request"]) for actor in TABLE["actors"] if actor not in deed["may"]]
    unsaid = [words for words in deed["says"] if not any(words in answer.message for answer in answers)]
    assert not unsaid, "these words are nobody's"


def test_the_table_names_actors_that_there_are() -> None:
    assert {actor for deed in TABLE["deeds"] for actor in deed["may"]} <= set(TABLE["actors"])
