"""Logs, metrics, traces and health endpoints, and the rules for what they may show."""
