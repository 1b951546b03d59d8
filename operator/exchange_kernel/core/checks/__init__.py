"""The policy of `core/decide.py`, check by check: each looks at the facts of one order and has an opinion or none."""
