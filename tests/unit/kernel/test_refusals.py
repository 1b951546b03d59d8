"""What the API server's answers are to a strategy. The bodies are those of kube-apiserver 1.36."""

from __future__ import annotations

import pytest

from exchange_kernel.kernel import ExchangeError, ValidationError
from exchange_kernel.kernel.refusals import definite, refusal
from exchange_kernel.kube.client import Answer


def invalid(*causes: tuple[str, str]) -> Answer:
    return Answer(422, {"message": 'OrderIntent.exchange-kernel.io "a" is invalid: ...', "details": {"causes": [{"field": field, "message": message} for field, message in causes]}})


@pytest.mark.parametrize(("answer", "problems"), [
    pytest.param(invalid(("spec.price", "Required value: price is required for limit types: set spec.price, or use type: Market")),
                 ("price is required for limit types: set spec.price, or use type: Market",), id="a sentence of ours stands alone"),
    pytest.param(invalid(("spec.price", "Forbidden: price is for limit types only"), ("spec.timeInForce", "Forbidden: timeInForce is not allowed with type Market")),
                 ("price is for limit types only", "timeInForce is not allowed with type Market"), id="all of them are told"),
    pytest.param(invalid(("spec.side", 'Unsupported value: "Up": supported values: "Buy", "Sell"'), ("<nil>", "Invalid value: null: some validation rules were not checked")),
                 ('spec.side: Unsupported value: "Up": supported values: "Buy", "Sell"',), id="the server's own words are told with the field"),
    pytest.param(Answer(400, {"message": 'OrderIntent in version "v1alpha1" cannot be handled as a OrderIntent: strict decoding error: unknown field "spec.nonsense"'}),
                 ('OrderIntent in version "v1alpha1" cannot be handled as a OrderIntent: strict decoding error: unknown field "spec.nonsense"',), id="a field that the cluster does not know"),
    pytest.param(Answer(403, {"message": "orderintents.exchange-kernel.io \"a\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'limits' denied request: at most 5 BTC an order"}),
                 ("at most 5 BTC an order",), id="an admission policy's sentence"),
    pytest.param(Answer(422, {"message": "refused"}), ("refused",), id="no causes"),
])
def test_a_rule_that_is_broken_is_a_validation_error_with_its_sentence(answer, problems):
    error = refusal(answer, "trading", "grid-1")
    assert isinstance(error, ValidationError)
    assert (error.problems, error.intent_id) == (problems, "grid-1")
    assert str(error) == "; ".join(problems)


@pytest.mark.parametrize(("answer", "says"), [
    (Answer(401, {"message": "Unauthorized"}), "check the kubeconfig"),
    (Answer(403, {"message": 'orderintents.exchange-kernel.io is forbidden: User "bob" cannot create resource "orderintents"'}),
     "create, get, list, watch and patch on orderintents and ordergroups.exchange-kernel.io in namespace trading"),
    (Answer(404, {"message": 'namespaces "trading" not found', "details": {"name": "trading", "kind": "namespaces"}}), "There is no namespace trading: create it"),
    (Answer(404, {"message": "the server could not find the requested resource"}), "install Exchange Kernel in it"),
    (Answer(413, {"message": "request entity too large"}), "The API server refused: request entity too large."),
    (Answer(0, {"message": "No answer from the API server (TimeoutError)."}), "No answer from the API server (TimeoutError). Check that the API server can be reached"),
    (Answer(503, {}), "HTTP 503. Check"),
    (Answer(422, {"message": "ValidatingAdmissionPolicy 'limits' denied request: failed to configure policy: no such kind"}), "install Exchange Kernel's kinds and policies again"),
])
def test_anything_else_is_an_exchange_error_that_says_what_to_do(answer, says):
    error = refusal(answer, "trading")
    assert isinstance(error, ExchangeError)
    assert says in str(error)


@pytest.mark.parametrize(("status", "is_definite"), [(0, False), (408, False), (409, False), (429, False), (500, False), (502, False), (504, False), (400, True), (401, True), (403, True), (404, True), (413, True), (422, True)])
def test_only_a_clear_no_is_definite(status, is_definite):
    assert definite(Answer(status, {})) is is_definite
