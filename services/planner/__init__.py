"""The planner: turns mailings into jobs at the right time, and reports into the state of every message."""
