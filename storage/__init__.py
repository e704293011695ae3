"""What is kept: the log, the state, and snapshots between them; the only importer of lmdb."""
