"""Benchmarks. Every figure is a ratio of two things that are measured side by side in one run: `python -m bench`, or `make bench`."""
