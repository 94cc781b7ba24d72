"""Measures lossval against its peers: quality, speed, and the tables of docs/benchmarks.md. Not installed."""
