"""The stand-in for the external provider: speaks its API, misbehaves on request, remembers what it got."""
