"""Processing a run: who is in which group, who is kept out, and why."""
