"""Messages that are sent on their own: POST /api/message/."""
