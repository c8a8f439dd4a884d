"""The rules of time, limits and control, held against the running system."""
