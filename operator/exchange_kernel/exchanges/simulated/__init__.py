"""A simulated exchange: a matching engine behind Binance spot's REST and websocket faces, with faults on demand. For the demo and for tests.

Beside it, on the same port, a venue of perpetual contracts behind Gate's: see `perpetual/`.

The operator reaches it only as it would a real venue: through ccxt, at other addresses. What it leaves out is said in the modules. A backtest calls it in
process and in virtual time: see `in_process.py`.
"""

from exchange_kernel.exchanges.simulated.exchange import DEFAULT_API_KEY, DEFAULT_API_SECRET, Settings, SimulatedExchange
from exchange_kernel.exchanges.simulated.in_process import InProcessExchange
from exchange_kernel.exchanges.simulated.server import Served, serve
from exchange_kernel.exchanges.simulated.virtual_time import LoopClock, VirtualTimeLoop, run_in_virtual_time

__all__ = [
    "DEFAULT_API_KEY",
    "DEFAULT_API_SECRET",
    "InProcessExchange",
    "LoopClock",
    "Served",
    "Settings",
    "SimulatedExchange",
    "VirtualTimeLoop",
    "run_in_virtual_time",
    "serve",
]
