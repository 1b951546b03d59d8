"""LocalKernel through the real ccxt: what traders saw is refused up front, and of a file that another program wrote it is Denied whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from exchange_kernel.kernel import ValidationError
from tests.cluster.operating import Exchange
from tests.conformance.bench import Bench, local_bench
from tests.unit.kernel.test_check import SEEN, WITHOUT_STOPS, a_group


@pytest.fixture
async def bench(tmp_path) -> AsyncIterator[Bench]:
    exchange = Exchange(tmp_path, symbols=f"BTC/USDT,{WITHOUT_STOPS}", maker=False, extra=("--order-types", f"{WITHOUT_STOPS}=LIMIT,LIMIT_MAKER,MARKET"))
    found = local_bench(exchange, tmp_path)
    yield found
    await found.close()
    exchange.stop()


@pytest.mark.proves("rule 16")
async def test_what_can_not_be_protected_is_not_bought(bench):
    kernel = await bench.kernel()
    for case in SEEN:
        group, says = case.values
        with pytest.raises(ValidationError, match=says):
            await kernel.place_order_group(group)
        # What the kernel lets through, the operator judges: the same sentence, and nothing is sent.
        known, kernel._known = kernel._known, super(type(kernel), kernel)._known
        with pytest.raises(ValidationError, match=says):
            await kernel.place_order_group(group)
        kernel._known = known
    assert bench.exchange.orders() == []
    assert not any(path.startswith("POST /api/v3/order") for path in bench.exchange.requests())
    assert len(await kernel.place_order_group(a_group())) == 2
