"""Birth and death of agents, here and on hosts that ssh reaches: steps that look first, and do what is not done."""
