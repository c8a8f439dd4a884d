"""Answers of the REST API about people, programs and the audit."""

import json
from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class User(_Answer):
    """A person who may sign in."""

    id: int
    login: str
    name: str
    role: str
    disabled: bool
    signed_in_at: datetime | None


class Link(_Answer):
    """A one-time link, which is shown once."""

    link: str
    expires_at: datetime


class ProgramToken(_Answer):
    """A token of a program, without its secret."""

    id: int
    name: str
    role: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


class NewToken(_Answer):
    """A new token with its secret, which is shown once."""

    token: str
    name: str
    role: str


class AuditEntry(_Answer):
    """A change, a login or a refused attempt."""

    id: int
    at: datetime
    actor: str
    address: str | None
    request_id: str | None
    operation: str
    refused: bool
    noun: str | None
    noun_id: int | None
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """Fields that changed, with their values before and after; empty where there was none."""
        before, after = self.before or {}, self.after or {}
        names = [*before, *(name for name in after if name not in before)]
        values = [(name, _shown(before.get(name)), _shown(after.get(name))) for name in names]
        return [(name, old, new) for name, old, new in values if old != new]


def _shown(value: object) -> str:
    if value is None:
        return ""
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:200]
