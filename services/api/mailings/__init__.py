"""Mailings, their messages, and their control: /api/mailing/."""
