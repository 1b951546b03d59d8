"""Asking that an order, or all orders of an account, be read from the exchange now: a token in an annotation, and the same token in status once it is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

from pydantic import StringConstraints

from exchange_kernel.api.base import GROUP

RECONCILE_ANNOTATION: Final = f"{GROUP}/reconcile"

_TOKEN: Final = "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,62}[A-Za-z0-9])?$"

#: Anything that was not used before; as a label's value is written.
ReconcileToken: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_TOKEN)]


def reconcile_asked(metadata: Mapping[str, Any]) -> str | None:
    """The token in an object's annotations. None: nobody asks, or with something that is no token, which is ignored."""
    token = (metadata.get("annotations") or {}).get(RECONCILE_ANNOTATION)
    return token if isinstance(token, str) and re.fullmatch(_TOKEN, token) else None
