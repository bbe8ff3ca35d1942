"""What a move does with an agent's folder: packed on the old host, put in place on the new one, each as its owner."""
