"""Webhooks: events POSTed to programs, in order for each mailing, at least once."""
