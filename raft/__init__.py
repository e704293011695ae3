"""What is decided: Raft as a function of what happened; no socket, disk, clock or chance in it.

Read core.py first: it is the table of contents. A file imports only files below it in this list:
driver, held, idle, counters, core, ready, election, replication, snapshot, roles, transfer, reads,
membership, invariants, state, progress, log, quorum.
"""
