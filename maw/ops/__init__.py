"""Looking after a node: doctor, services."""
