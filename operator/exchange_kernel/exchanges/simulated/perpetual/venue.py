"""The perpetual venue, put together: its engine, who may ask it, the market around the user, and what lookups do not show yet."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from decimal import Decimal

from exchange_kernel.exchanges.simulated.clock import VenueClock
from exchange_kernel.exchanges.simulated.perpetual.accounts import PerpetualAccount
from exchange_kernel.exchanges.simulated.perpetual.contracts import contract
from exchange_kernel.exchanges.simulated.perpetual.engine import PerpetualEngine
from exchange_kernel.exchanges.simulated.perpetual.maker import PerpetualMaker

HOUSE = Decimal(10) ** 12


class PerpetualVenue:
    def __init__(self, contracts: Sequence[str], clock: VenueClock, delay_ms: Callable[[], int], *, maker_fee: Decimal, taker_fee: Decimal, seed: int) -> None:
        """`delay_ms`: how long after its acceptance an order or trade shows in lookups."""
        self.clock = clock
        self.engine = PerpetualEngine(
            [contract(unified) for unified in dict.fromkeys(contracts)], clock.now_ms, maker_fee=maker_fee, taker_fee=taker_fee, accepted=self._hide)
        self.accounts: dict[int, PerpetualAccount] = {}             # those with keys, by uid
        self.taker = PerpetualAccount(2, HOUSE, house=True)
        self.maker = PerpetualMaker(self.engine, PerpetualAccount(1, HOUSE, house=True), self.taker, seed)
        self._delay_ms = delay_ms
        self._hidden_until: dict[Hashable, int] = {}
        self._keys: dict[str, tuple[bytes, PerpetualAccount]] = {}

    def admit(self, uid: int, api_key: str, api_secret: str, balance: Decimal) -> None:
        """A key of the account with this uid, which is opened with that balance if there is none yet."""
        account = self.accounts.setdefault(uid, PerpetualAccount(uid, balance))
        self._keys[api_key] = (api_secret.encode(), account)

    def known(self, api_key: str) -> tuple[bytes, PerpetualAccount] | None:
        """The secret and the account of a key."""
        return self._keys.get(api_key)

    def shows(self, key: Hashable) -> bool:
        """Once the delay is lifted, all that it still hides shows at once."""
        return not self._delay_ms() or self.clock.steady_ms() >= self._hidden_until.get(key, 0)

    def _hide(self, key: Hashable) -> None:
        if delay_ms := self._delay_ms():
            self._hidden_until[key] = self.clock.steady_ms() + delay_ms
