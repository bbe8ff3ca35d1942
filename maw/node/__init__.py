"""The runtime: carries out the core's effects; owns clock, randomness and timers."""
