"""Promises of the system while clocks, neighbours and machines misbehave: `python -m tests.faults`."""
