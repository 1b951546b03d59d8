"""A venue of linear perpetual contracts in the simulated exchange: an engine with positions and margin behind Gate's futures REST face.

It shares the port, the clock, the keys' holders and the faults with the spot venue, and nothing else: its money is its own, as at most venues. Source of
the rules and shapes, in brackets beside them: Gate API v4, "Futures" (github.com/gate/gateapi-python, docs/FuturesApi.md and the models next to it).

Left out: a stream, price-triggered orders, amending, batches, funding, liquidation and deleveraging, risk-limit tiers, isolated margin, the BTC-settled
contracts, self-trade prevention, rate limits, and the header that lets a request expire.
"""
