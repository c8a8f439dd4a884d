"""Numbers of messages over time: GET /api/statistics/, and the progress and the reasons of one mailing."""
