"""Connections and transactions of PostgreSQL, with bounds on their number and on every wait."""
