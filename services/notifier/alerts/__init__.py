"""Alerts: conditions of the whole system that people and programs are notified of."""
