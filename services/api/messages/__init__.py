"""Messages with their attempts, and the history of a person: GET /api/message/."""
