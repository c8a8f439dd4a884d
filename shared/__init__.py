"""What the services agree on: contracts on the wire, the broker's topology, the database's schema."""

__version__ = "0.1.0"
