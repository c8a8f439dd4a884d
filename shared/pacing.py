"""Rate limits: how they are understood."""

FILL = 0.975  # of a limit is used, so that jitter never carries a one-second window above it
