"""Webhooks: addresses of programs that events are POSTed to."""
