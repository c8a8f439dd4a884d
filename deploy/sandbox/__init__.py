"""Stand-in for the external provider: it speaks its API, misbehaves on request, and counts requests."""
