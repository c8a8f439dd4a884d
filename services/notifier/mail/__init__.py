"""E-mail: addresses, messages, and the way to the SMTP server."""
