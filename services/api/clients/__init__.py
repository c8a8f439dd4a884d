"""The directory of clients: /api/client/."""
