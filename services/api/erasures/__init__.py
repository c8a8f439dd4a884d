"""Erasures of persons: /api/erasure/. `DELETE /api/client/{client_id}/?erase=true` requests one."""
