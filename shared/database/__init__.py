"""Connections and transactions to PostgreSQL, bounded in number and in every wait."""
