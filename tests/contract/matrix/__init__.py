"""The contract matrix: what each operation's outcome is under each fault, and what is true at the exchange. `table.yaml` is the table that is asserted.

    python -m tests.contract.matrix --write
"""
