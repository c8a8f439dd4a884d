"""Example of attempts across mailings."""

from services.api.edge.examples import Example, Examples

EXAMPLES: Examples = {
    "GET /api/attempt/": Example(
        {
            "items": [
                {
                    "at": "2030-01-31T10:00:00.081204Z",
                    "sender": "sender@host-1",
                    "outcome": "deferred",
                    "provider_status": 503,
                    "provider_text": "busy",
                    "duration_ms": 38,
                    "message_id": 1,
                    "mailing_id": 1,
                    "client_id": 1,
                    "number": 79057003050,
                    "status": "sent",
                }
            ],
            "next": None,
        }
    )
}
