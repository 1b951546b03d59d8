"""The kill switch, read again by itself: no send goes by a word of the account that is older than KNOWN_FOR_S.

A watch whose connection died without a word looks like one on which nothing happens. So the account is read past all caches every few seconds while it is
held, beside its orders: no order waits for such a reading in the ordinary case, and an idle account costs one small request each time. Where it can't be
read, sends wait: by then its Lease can't be renewed either, as a rule. Cancels and look-ups never ask.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from exchange_kernel.exchanges.port import Closed
from exchange_kernel.stores.port import Unavailable

if TYPE_CHECKING:
    from exchange_kernel.reconcile.session import AccountSession

READ_EVERY_S = 4.0
RETRY_S = 0.5
KNOWN_FOR_S = 10.0  # longer than a reading that hangs (5 s) and the next, so that one dead connection holds nothing up

UNKNOWN = Closed("The account could not be read again from the API server.")


class KillSwitch:
    """One account's. `rereads` False: its store is in this process and never behind."""

    def __init__(self, session: AccountSession, *, rereads: bool) -> None:
        self._session, self._rereads = session, rereads
        self._read_at: float | None = None  # when the last reading began (monotonic)

    async def keep(self) -> None:
        """Read the account again and again."""
        while self._rereads:
            pause = READ_EVERY_S if await self._read() else RETRY_S
            await asyncio.sleep(pause)

    async def _read(self) -> bool:
        session, began = self._session, self._session.clock.monotonic()
        found = await session.accounts.read(session.account.uid)
        if isinstance(found, Unavailable):
            return False
        self._read_at = began if found is not None else None
        session.take_account(found)
        return True

    @property
    def known(self) -> bool:
        """Whether the mode is known well enough to send by it."""
        return not self._rereads or (self._read_at is not None and self._session.clock.monotonic() - self._read_at <= KNOWN_FOR_S)

    def closed(self) -> Closed | None:
        """The gate's question (rule 4)."""
        return None if self.known else UNKNOWN
