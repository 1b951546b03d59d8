"""Writing objects so that an answer that does not come costs no order: one name is tried until it is known whether it is there, and edits are repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from exchange_kernel.kernel.errors import ExchangeError
from exchange_kernel.kernel.following import Following, ObjectApi, monotonic
from exchange_kernel.kernel.objects import Body
from exchange_kernel.kernel.refusals import definite, refusal
from exchange_kernel.kube.client import Answer, Resource

DURABLE_WITHIN_S = 30.0  # how long a write is tried whose answer does not come: the time in which an API server is restarted
CONFLICT, FORBIDDEN = 409, 403
RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Patience:
    """For a request that is not answered: when to try again, and when to give up."""

    def __init__(self, within: float) -> None:
        self._until = monotonic() + within
        self._pauses = iter(RETRY_S)

    @property
    def exhausted(self) -> bool:
        return monotonic() >= self._until

    def pause(self) -> float:
        return next(self._pauses, RETRY_S[-1])


class Writer:
    """Of one kind in one namespace. `api`: what the kernel uses now; raises ExchangeError while it is stopped."""

    def __init__(self, resource: Resource, namespace: str, following: Following[Any], api: Callable[[], ObjectApi], uses: Callable[[ObjectApi], bool]) -> None:
        self._resource, self._namespace, self._following, self._api, self._uses = resource, namespace, following, api, uses

    def _believed(self, answer: Answer) -> bool:
        """Whether it is the last word. An API server that has just started knows no roles for a moment and permits nothing, as little as it lets us watch."""
        return definite(answer) and not (answer.status == FORBIDDEN and self._following.problem and not answer.inadmissible)

    async def read(self, name: str) -> Body | Answer:
        """The object as the API server has it now; its answer, if it is none."""
        answer = await self._api().get(self._resource.path(self._namespace, name))
        if answer.ok:
            self._following.learn(answer.body)
        return answer.body if answer.ok else answer

    async def create(self, name: str, wanted: Body, gone: Callable[[], bool]) -> Body | None:
        """Create the object under this one name, and believe nothing but an answer that it is there or that it will not be. None: it was, and is `gone`.

        Raises the API server's refusal, or ExchangeError with `outcome_unknown`.
        """
        api, patience, doubt = self._api(), Patience(DURABLE_WITHIN_S), False
        while True:
            # Strict: a field that the cluster's version does not know would be dropped, and may be the one that limits the order.
            answer = await api.create(self._resource.path(self._namespace) + "?fieldValidation=Strict", wanted)
            if answer.ok:
                self._following.learn(answer.body)
                return answer.body
            if self._believed(answer) and not doubt:
                raise refusal(answer, self._namespace, name, kind=self._resource.plural)
            # No answer, or it exists: this try or an earlier one was carried out, or an earlier run of the strategy used the same key.
            found = await self.read(name) if self._uses(api) else answer
            if isinstance(found, dict):
                return found
            if self._believed(answer) and found.status == 404:
                raise refusal(answer, self._namespace, name, kind=self._resource.plural)
            doubt = doubt or not (answer.unready or answer.status == FORBIDDEN)  # which are said before anything is done
            if gone():
                return None
            await self._following.until(name, lambda known: known is not None, patience.pause())
            if patience.exhausted or not self._uses(api):
                if not doubt:
                    raise refusal(answer, self._namespace, name, kind=self._resource.plural)
                raise ExchangeError(
                    f"Whether {name} exists could not be found out: {answer.message} Do not place the order again before "
                    f"get_order_state has said that there is no such intent.",
                    intent_id=name,
                    outcome_unknown=True,
                )

    async def edit(self, name: str, change: Callable[[Body], Body | None], *, intent_id: str, at_once: Body | None = None) -> bool:
        """Patch what the API server has with what `change` makes of it, until that is taken or there is nothing to change (None). False: no such object.

        A patch may name the version it was decided on. `at_once`: a patch to try before anything is read. Raises the API server's refusal, or
        ExchangeError with `outcome_unknown`.
        """
        api, patience, path = self._api(), Patience(DURABLE_WITHIN_S), self._resource.path(self._namespace, name)
        patch, unread = at_once, at_once is not None
        while True:
            if not unread:
                answer = await api.get(path)
                patch = change(answer.body) if answer.ok else None
                if answer.ok and patch is None:
                    self._following.learn(answer.body)
                    return True
            if patch is not None:
                answer = await api.patch(path, patch)
                if answer.ok:
                    self._following.learn(answer.body)
                    return True
            if answer.status == 404:
                return False
            if self._believed(answer) and not unread:
                raise refusal(answer, self._namespace, intent_id, kind=self._resource.plural)
            if self._believed(answer) or answer.status == CONFLICT:
                unread = False
                continue
            await asyncio.sleep(patience.pause())
            if patience.exhausted or not self._uses(api):
                message = f"Whether the change of {intent_id} was taken could not be found out: {answer.message}"
                raise ExchangeError(message, intent_id=intent_id, outcome_unknown=True)
