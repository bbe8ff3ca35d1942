"""Putting maw's hooks and instructions into the files of others, and taking them out again."""
