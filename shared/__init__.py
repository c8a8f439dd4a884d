"""Parts that all services share: contracts of the wire, topology of the broker, schema of the database."""

__version__ = "0.1.0"
