"""Writing against scripted answers: what an API server says while it starts. Lost answers: tests/cluster/test_kernel.py."""

from __future__ import annotations

from typing import Any

import pytest

from exchange_kernel.kernel import ExchangeError, ValidationError
from exchange_kernel.kernel.mirror import Mirror, Scope
from exchange_kernel.kernel.writing import Writer
from exchange_kernel.kube.client import ORDER_INTENTS, Answer
from tests.unit.kernel.builders import an_object
from tests.virtual_time import run

OK = Answer(201, an_object("a"))
SILENCE = Answer(0, {"message": "No answer from the API server (ClientConnectorError)."})
NO_ROLE = Answer(403, {"message": 'orderintents.exchange-kernel.io is forbidden: User "bob" cannot create resource "orderintents"'})
NOT_READY = Answer(422, {"message": "ValidatingAdmissionPolicy 'exchange-kernel-risk' denied request: failed to configure policy: no such kind"})
DENIED = Answer(403, {"message": "ValidatingAdmissionPolicy 'limits' denied request: at most 5 BTC an order"})
NOT_THERE = Answer(404, {"message": "not found"})


class Script:
    """An API server that gives these answers to writes, the last one again and again; and has nothing to show meanwhile."""

    def __init__(self, *writes: Answer, shows: Answer = NOT_THERE) -> None:
        self.writes, self.shows, self.written = list(writes), shows, 0

    async def get(self, path: str, **query: str) -> Answer:
        return self.shows

    async def create(self, path: str, body: dict[str, Any]) -> Answer:
        self.written += 1
        return self.writes.pop(0) if len(self.writes) > 1 else self.writes[0]

    async def patch(self, path: str, body: dict[str, Any]) -> Answer:
        return await self.create(path, body)


def a_writer(api: Script, *, sees: bool) -> Writer:
    mirror = Mirror(Scope("default", "main", "grid"), lambda event: None)
    mirror.open, mirror.problem = True, "" if sees else "No answer from the API server."
    return Writer(ORDER_INTENTS, "default", mirror, lambda: api, lambda used: True)


@pytest.mark.parametrize(("answers", "sees", "tries"), [
    pytest.param((SILENCE, NO_ROLE, NO_ROLE, OK), False, 4, id="it knows no roles yet"),
    pytest.param((NO_ROLE, NOT_READY, OK), False, 3, id="nor its policies"),
    pytest.param((NOT_READY, OK), True, 2, id="nor those when it can be watched already"),
])
def test_what_an_api_server_refuses_while_it_starts_is_asked_again(answers, sees, tries):
    api = Script(*answers)
    for write in ("create", "edit"):
        api.writes, api.written, api.shows = list(answers), 0, NOT_THERE if write == "create" else OK
        writer = a_writer(api, sees=sees)
        run(writer.create("a", {}, lambda: False) if write == "create" else writer.edit("a", lambda raw: {"spec": {}}, intent_id="a"))
        assert api.written == tries, write


@pytest.mark.parametrize(("answer", "sees", "error", "says"), [
    pytest.param(NO_ROLE, True, ExchangeError, "Give this user or service account create", id="it watches, so its rights are known"),
    pytest.param(DENIED, False, ValidationError, "at most 5 BTC an order", id="a policy has judged"),
])
def test_what_is_meant_is_said_at_once(answer, sees, error, says):
    api = Script(answer)
    with pytest.raises(error, match=says):
        run(a_writer(api, sees=sees).create("a", {}, lambda: False))
    assert api.written == 1


@pytest.mark.parametrize(("answers", "unknown"), [
    pytest.param((NOT_READY,), False, id="it was refused each time: there is no order"),
    pytest.param((SILENCE, NOT_READY), True, id="once there was no answer"),
])
def test_what_stays_so_is_an_error_that_knows_whether_there_may_be_an_order(answers, unknown):
    with pytest.raises(ExchangeError) as refused:
        run(a_writer(Script(*answers, *answers[-1:] * 100, shows=SILENCE), sees=True).create("a", {}, lambda: False))
    assert refused.value.outcome_unknown is unknown
