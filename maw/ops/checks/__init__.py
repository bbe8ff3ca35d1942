"""The doctor's checks, by what they look at: this installation, the home, the daemon, the network."""
