"""Teams of worktrees: git, tmux and the daemon, where `maw.core.teams` says what is to be done."""
