"""What lives with agents."""
