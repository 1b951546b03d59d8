"""`kubectl exchange`: what a person asks of the orders in a cluster, one file per command. Nothing is decided here that the kinds and `core` decide."""
