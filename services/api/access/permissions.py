"""Table of permissions: the role that each operation requires. Pure.

Every operation of the API has a line here. A test compares the table with the routes, so none is without.
"""

import re
from dataclasses import dataclass
from typing import Final

from shared.access.roles import Role


@dataclass(frozen=True, slots=True)
class Permission:
    """Name of an operation, such as `mailing.pause`, and the role that it requires. None: no token is needed."""

    operation: str
    role: Role | None


_VIEWER, _OPERATOR, _ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN

_TABLE: Final = (
    # Clients
    ("GET", "/api/client/", "client.list", _VIEWER),
    ("POST", "/api/client/", "client.create", _OPERATOR),
    ("GET", "/api/client/{client_id}/", "client.show", _VIEWER),
    ("PUT", "/api/client/{client_id}/", "client.change", _OPERATOR),
    ("PATCH", "/api/client/{client_id}/", "client.change", _OPERATOR),
    ("DELETE", "/api/client/{client_id}/", "client.delete", _OPERATOR),
    ("POST", "/api/client/import/", "client.import", _OPERATOR),
    ("GET", "/api/client/export/", "client.export", _ADMIN),
    # Mailings
    ("GET", "/api/mailing/", "mailing.list", _VIEWER),
    ("POST", "/api/mailing/", "mailing.create", _OPERATOR),
    ("POST", "/api/mailing/preview/", "mailing.preview", _VIEWER),
    ("GET", "/api/mailing/{mailing_id}/", "mailing.show", _VIEWER),
    ("PUT", "/api/mailing/{mailing_id}/", "mailing.change", _OPERATOR),
    ("PATCH", "/api/mailing/{mailing_id}/", "mailing.change", _OPERATOR),
    ("DELETE", "/api/mailing/{mailing_id}/", "mailing.delete", _OPERATOR),
    ("GET", "/api/mailing/{mailing_id}/messages/", "mailing.messages", _VIEWER),
    ("GET", "/api/mailing/{mailing_id}/messages/export/", "mailing.export", _ADMIN),
    ("POST", "/api/mailing/{mailing_id}/pause/", "mailing.pause", _OPERATOR),
    ("POST", "/api/mailing/{mailing_id}/resume/", "mailing.resume", _OPERATOR),
    ("POST", "/api/mailing/{mailing_id}/cancel/", "mailing.cancel", _OPERATOR),
    ("POST", "/api/mailing/{mailing_id}/retry/", "mailing.retry", _OPERATOR),
    ("POST", "/api/mailing/{mailing_id}/duplicate/", "mailing.duplicate", _OPERATOR),
    ("POST", "/api/mailing/{mailing_id}/test/", "mailing.test", _OPERATOR),
    # Messages
    ("GET", "/api/message/", "message.list", _VIEWER),
    ("POST", "/api/message/", "message.send", _OPERATOR),
    ("GET", "/api/message/{message_id}/", "message.show", _VIEWER),
    ("GET", "/api/attempt/", "attempt.list", _VIEWER),
    # Stop list
    ("GET", "/api/stop/", "stop.list", _VIEWER),
    ("POST", "/api/stop/", "stop.create", _OPERATOR),
    ("POST", "/api/stop/import/", "stop.import", _OPERATOR),
    ("GET", "/api/stop/export/", "stop.export", _ADMIN),
    ("GET", "/api/stop/{stop_id}/", "stop.show", _VIEWER),
    ("PUT", "/api/stop/{stop_id}/", "stop.change", _OPERATOR),
    ("PATCH", "/api/stop/{stop_id}/", "stop.change", _OPERATOR),
    ("DELETE", "/api/stop/{stop_id}/", "stop.delete", _OPERATOR),
    # Statistics
    ("GET", "/api/statistics/", "statistics.show", _VIEWER),
    ("GET", "/api/mailing/{mailing_id}/progress/", "mailing.progress", _VIEWER),
    ("GET", "/api/mailing/{mailing_id}/reasons/", "mailing.reasons", _VIEWER),
    # Access
    ("POST", "/api/session/", "session.create", None),
    ("POST", "/api/session/link/", "session.create", None),
    ("POST", "/api/session/oidc/", "session.create", None),
    ("DELETE", "/api/session/", "session.end", _VIEWER),
    ("DELETE", "/api/session/all/", "session.end_all", _VIEWER),
    ("GET", "/api/me/", "user.me", _VIEWER),
    ("PATCH", "/api/me/", "user.change_me", _VIEWER),
    ("GET", "/api/token/", "token.list", _ADMIN),
    ("POST", "/api/token/", "token.create", _ADMIN),
    ("DELETE", "/api/token/{token_id}/", "token.revoke", _ADMIN),
    ("GET", "/api/user/", "user.list", _ADMIN),
    ("POST", "/api/user/", "user.create", _ADMIN),
    ("PATCH", "/api/user/{user_id}/", "user.change", _ADMIN),
    ("POST", "/api/user/{user_id}/link/", "user.link", _ADMIN),
    ("GET", "/api/audit/", "audit.list", _ADMIN),
    # Alerts
    ("GET", "/api/alert/", "alert.list", _VIEWER),
    # Webhooks
    ("GET", "/api/webhook/", "webhook.list", _ADMIN),
    ("POST", "/api/webhook/", "webhook.create", _ADMIN),
    ("GET", "/api/webhook/{webhook_id}/", "webhook.show", _ADMIN),
    ("PATCH", "/api/webhook/{webhook_id}/", "webhook.change", _ADMIN),
    ("DELETE", "/api/webhook/{webhook_id}/", "webhook.delete", _ADMIN),
    ("POST", "/api/webhook/{webhook_id}/secret/", "webhook.rotate", _ADMIN),
    ("POST", "/api/webhook/{webhook_id}/test/", "webhook.test", _ADMIN),
    ("GET", "/api/webhook/{webhook_id}/deliveries/", "webhook.deliveries", _ADMIN),
    ("POST", "/api/webhook/{webhook_id}/deliveries/{delivery_id}/again/", "webhook.send_again", _ADMIN),
)

PERMISSIONS: Final = {(method, path): Permission(operation, role) for method, path, operation, role in _TABLE}

_PARAMETER = re.compile(r"\\{\w+\\}")
_TEMPLATES: Final = tuple(
    (re.compile(_PARAMETER.sub("[^/]+", re.escape(path))), path)
    for path in dict.fromkeys(path for _, path, _, _ in _TABLE)
)


def permission_of(method: str, path: str) -> Permission | None:
    """Return the permission that a request needs; None if the API has no such operation.

    A path without parameters comes first: `/api/client/import/` is not a client.
    """
    if (method, path) in PERMISSIONS:
        return PERMISSIONS[method, path]
    for pattern, template in _TEMPLATES:
        if pattern.fullmatch(path) and (method, template) in PERMISSIONS:
            return PERMISSIONS[method, template]
    return None


def required_role(method: str, path: str) -> Role | None:
    """Return the role that an operation requires, by the template of its path; None if it needs no token."""
    permission = PERMISSIONS.get((method, path))
    return None if permission is None else permission.role
