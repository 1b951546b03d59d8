"""What an API server's "no" means to a strategy, and what to do about it. Silence is no answer, and is not for here to judge: see `definite`."""

from __future__ import annotations

from collections.abc import Iterator

from exchange_kernel.kernel.errors import ExchangeError, KernelError, ValidationError
from exchange_kernel.kube.client import Answer

#: What a kernel needs to be permitted, by the kind that it was at.
_ORDERS = "create, get, list, watch and patch on orderintents and ordergroups.exchange-kernel.io"
NEEDS = {
    "orderintents": _ORDERS,
    "ordergroups": _ORDERS,
    "markets": "get, list and watch on markets.exchange-kernel.io",
    "accountstates": "get, list, watch and patch on accountstates.exchange-kernel.io",
}

#: In front of sentences of ours, the API server says what sort of mistake it was.
_OURS = ("Required value: ", "Forbidden: ")


def definite(answer: Answer) -> bool:
    """Whether the request is answered. Else it may have been carried out (no answer, a gateway's error), or is worth repeating (409, 429, `unready`)."""
    return answer.status not in (0, 408, 409, 429) and answer.status < 500 and not answer.unready


def refusal(answer: Answer, namespace: str, intent_id: str | None = None, *, kind: str = "orderintents") -> KernelError:
    """The error for an answer that is neither good nor about an object that is not there."""
    message = answer.message.rstrip(".")
    match answer.status:
        case _ if answer.unready:
            how = f"The API server can't judge orders: {message}. If that stays so, install Exchange Kernel's kinds and policies again"
        case 400 | 422:
            return ValidationError(list(_problems(answer)) or [message], intent_id=intent_id)
        case 403 if "denied request: " in message:  # a ValidatingAdmissionPolicy's sentence
            return ValidationError([message.partition("denied request: ")[2]], intent_id=intent_id)
        case 401:
            how = "The API server does not know who asks: check the kubeconfig, or the pod's service account"
        case 403:
            give = f"Give this user or service account {NEEDS[kind]} in namespace {namespace}"
            how = f"Not permitted: {message}. {give}"
        case 404 if answer.body.get("details", {}).get("kind") == "namespaces":
            how = f"There is no namespace {namespace}: create it, or name another"
        case 404:
            how = "This cluster knows no OrderIntents: install Exchange Kernel in it"
        case _ if definite(answer):
            how = f"The API server refused: {message}"
        case _:
            how = f"{message}. Check that the API server can be reached, and that Exchange Kernel is installed there"
    return ExchangeError(f"{how}.", intent_id=intent_id)


def _problems(answer: Answer) -> Iterator[str]:
    for cause in answer.body.get("details", {}).get("causes", ()):
        field, message = cause.get("field", ""), cause.get("message", "")
        if field == "<nil>":
            continue  # it only says that there may be more of them
        ours = next((message.removeprefix(word) for word in _OURS if message.startswith(word)), None)
        yield ours or (f"{field}: {message}" if field else message)
