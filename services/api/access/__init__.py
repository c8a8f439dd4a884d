"""Access: authentication and roles of every request, tokens, users, sessions, and the audit."""
