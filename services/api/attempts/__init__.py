"""Results of all attempts across mailings: GET /api/attempt/."""
