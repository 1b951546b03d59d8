"""A strategy as it runs in a pod of its own: places an order through the Python contract, and prints what it was told."""

import asyncio
import json
import sys

from exchange_kernel.kernel import KubernetesKernel
from exchange_kernel.schema import StandardOrder


async def main() -> None:
    heard = []
    kernel = KubernetesKernel("simulated", strategy="kind-test", acknowledge_timeout=60)
    await kernel.start()
    try:
        kernel.subscribe_events(heard.append)
        intent_id = await kernel.place_order(StandardOrder(symbol="BTC/USDT", side="Buy", type="Market", quantity="0.03"))
        state = await kernel.get_order_state(intent_id)
        print(json.dumps({"intent": intent_id, "state": str(state.state), "filled": str(state.filled_quantity), "events": [type(event).__name__ for event in heard]}))
    finally:
        await kernel.stop()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
