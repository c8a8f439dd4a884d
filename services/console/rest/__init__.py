"""The REST API as the console sees it: its answers, its errors, and the calls."""
