"""Tries to break the promises on which services rely: 1 (no 2xx before the commit), 2 (all or nothing), 4 (one effect per
key) and 5 (no lost updates).

A bank runs in two processes on one database. Clients with seeded randomness move money through real sockets, while
processes are killed, connections cut and constraints fail at the commit. After each round raw SQL compares what is stored
with what clients were told. `python -m chaos --help`; the figures are in RESULTS.md, the reasons in decision 23.
"""
