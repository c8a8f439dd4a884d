"""Daily report: what happened on one day, as an e-mail."""
