"""Descriptions of a provider's API: a TOML file says how to make a request and how to read the answer."""
