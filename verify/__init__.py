"""Whether it is right: servers in a simulated world, the faults they meet, the laws they keep."""
