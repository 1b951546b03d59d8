"""What an answer of the API server means. The messages are those of kube-apiserver 1.36, some of them heard only while it starts."""

from __future__ import annotations

import pytest

from exchange_kernel.kube.client import Answer

NO_ROLE = 'orderintents.exchange-kernel.io is forbidden: User "bob" cannot create resource "orderintents" in API group "exchange-kernel.io"'
NO_KIND = "ValidatingAdmissionPolicy 'exchange-kernel-risk' denied request: failed to configure policy: failed to find resource referenced by paramKind"
POLICY = "ValidatingAdmissionPolicy 'limits' with binding 'limits' denied request: at most 5 BTC an order"


@pytest.mark.parametrize(("status", "message", "inadmissible", "unready"), [
    pytest.param(422, "spec.price: Required value", True, False, id="the schema"),
    pytest.param(403, POLICY, True, False, id="a policy's own sentence"),
    pytest.param(403, 'admission webhook "a" denied the request: no', True, False, id="a webhook's"),
    pytest.param(403, NO_ROLE, False, False, id="rights can be given, and an API server that starts knows none"),
    pytest.param(422, NO_KIND, False, True, id="a policy that can't be read yet judges nothing"),
    pytest.param(403, 'orderintents "a" is forbidden: not yet ready to handle request', False, True, id="nor does admission that is not ready"),
    pytest.param(403, "exceeded quota: orders", False, False, id="a quota is freed again"),
    pytest.param(503, NO_KIND, False, False, id="no answer about the object"),
])
def test_only_a_judgement_of_the_object_is_one(status: int, message: str, inadmissible: bool, unready: bool):
    answer = Answer(status, {"message": message})
    assert (answer.inadmissible, answer.unready) == (inadmissible, unready)
