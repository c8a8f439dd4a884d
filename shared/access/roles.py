"""Roles of people and machines. Pure."""

from enum import StrEnum


class Role(StrEnum):
    """Role of a token or a user. Each role may do everything that the roles before it may do."""

    VIEWER = "viewer"  # reads; phone numbers are masked
    OPERATOR = "operator"  # changes clients and mailings, sends single messages, imports
    ADMIN = "admin"  # manages users and tokens, reads the audit, exports phone numbers

    def includes(self, required: "Role") -> bool:
        """Return True if this role may do what `required` may do."""
        return _ORDER.index(self) >= _ORDER.index(required)


_ORDER = tuple(Role)
