"""Connections to RabbitMQ: publishing with confirms, consumer sessions, and dead letters."""
