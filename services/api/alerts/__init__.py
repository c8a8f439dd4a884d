"""Alerts of the notifier, as the API shows them."""
