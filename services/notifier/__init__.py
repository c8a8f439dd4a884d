"""Notifier: the daily report, alerts and webhooks. Any number of processes; one of them does each thing."""
