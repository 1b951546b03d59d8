"""A simulated exchange: a matching engine behind Binance spot's REST and websocket faces, with faults on demand. For the demo and for tests.

Beside it, on the same port, a venue of perpetual contracts behind Gate's: see `perpetual/`.

The operator reaches it only as it would a real venue: through ccxt, at other addresses. What it leaves out is said in the modules.
"""

from exchange_kernel.exchanges.simulated.exchange import DEFAULT_API_KEY, DEFAULT_API_SECRET, Settings, SimulatedExchange
from exchange_kernel.exchanges.simulated.server import Served, serve

__all__ = ["DEFAULT_API_KEY", "DEFAULT_API_SECRET", "Served", "Settings", "SimulatedExchange", "serve"]
