"""``maw demo``: two nodes on this machine, played through real commands that a reader can type along."""
