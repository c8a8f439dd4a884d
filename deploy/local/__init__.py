"""Local runner: the whole system on one machine with servers of its own. See `python -m deploy.local --help`.

It works on Linux and macOS. On Windows, use WSL or docker compose.
"""
