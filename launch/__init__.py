"""How a cluster is started, kept running, shown and stopped; launcher.py is its command line."""
