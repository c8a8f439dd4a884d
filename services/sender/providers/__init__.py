"""Adapters of providers. Each module has a function `open_adapter(access)` that returns one."""
