"""Who touches the world: sockets, timers, threads and processes; the only importer of zmq."""
