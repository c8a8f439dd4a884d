"""Numbers that must not be written to: /api/stop/."""
