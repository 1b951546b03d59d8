"""The venues, one a module: how each is spoken to, in terms of ccxt's unified methods, and what its words prove.

Sources stand beside what they say, in brackets: the venue's documentation page, or `ccxt` for what its pinned source writes and maps. What is not here
is Unknown, Unreachable or refused before it is sent.
"""
