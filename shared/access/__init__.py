"""Access: roles, tokens and passwords, for the API and for the command `mailing`."""
