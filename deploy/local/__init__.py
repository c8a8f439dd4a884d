"""The whole system on one machine, with servers of its own: `python -m deploy.local --help`.

For Linux and macOS; on Windows use WSL or docker compose.
"""
