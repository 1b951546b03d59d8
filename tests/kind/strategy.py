"""A strategy as it runs in a pod of its own: places an order through the Python contract, hears of its end, and prints what it was told."""

import asyncio
import json
from decimal import Decimal

from exchange_kernel.kernel import BaseEvent, KubernetesKernel, OrderFilled
from exchange_kernel.schema import StandardOrder


async def main() -> None:
    filled: asyncio.Future[OrderFilled] = asyncio.get_running_loop().create_future()

    def heard(event: BaseEvent) -> None:
        if isinstance(event, OrderFilled) and not filled.done():
            filled.set_result(event)

    kernel = KubernetesKernel("simulated", strategy="kind-test", acknowledge_timeout=120)
    await kernel.start()
    try:
        kernel.subscribe_events(heard)
        intent_id = await kernel.place_order(StandardOrder(symbol_id="BTC/USDT", side="Buy", type="Market", quantity=Decimal("0.03")))
        event = await asyncio.wait_for(filled, 120)
        state = await kernel.get_order_state(intent_id)
        print(json.dumps({"intent": intent_id, "state": str(state.state), "filled": str(state.filled_quantity), "event_of": event.intent_id}))
    finally:
        await kernel.stop()


if __name__ == "__main__":
    asyncio.run(main())
