"""Examples of sessions, users, tokens and the audit."""

from services.api.edge.examples import Example, Examples, Json, page_of

_USER: Json = {
    "id": 1,
    "login": "anna",
    "name": "Anna Ivanova",
    "role": "operator",
    "language": "en",
    "zone": "Europe/Moscow",
    "disabled": False,
    "created_at": "2026-11-25T09:00:00Z",
    "signed_in_at": "2026-11-25T09:05:00Z",
}
_SESSION: Json = {
    "token": "mailing_<38 letters and digits>",
    "expires_at": "2026-11-25T21:05:00Z",
    "idle_seconds": 3600,
    "failed_logins": 0,
    "user": _USER,
}
_TOKEN: Json = {
    "id": 1,
    "name": "shop backend",
    "role": "operator",
    "hint": "x7Qa",
    "created_at": "2026-11-25T09:00:00Z",
    "expires_at": None,
    "used_at": "2026-11-25T10:00:00Z",
    "revoked_at": None,
}
_NEW_TOKEN: Json = {
    "id": 1,
    "token": "mailing_<38 letters and digits>",
    "name": "shop backend",
    "role": "operator",
    "expires_at": None,
}
_ENTRY: Json = {
    "id": 1,
    "at": "2026-11-25T10:00:00Z",
    "actor": "anna",
    "token_id": 2,
    "user_id": 1,
    "address": "192.0.2.7",
    "request_id": "0f4d7b6c",
    "operation": "mailing.pause",
    "refused": False,
    "noun": "mailing",
    "noun_id": 12,
    "before": {"paused": False},
    "after": {"paused": True},
}
_CREDENTIALS: Json = {"With a password": {"login": "anna", "password": "correct horse battery staple"}}
_NEW_USER: Json = {
    "With a password": {
        "login": "anna",
        "name": "Anna Ivanova",
        "role": "operator",
        "password": "correct horse battery staple",
    },
    "Signs in by a link": {"login": "boris", "name": "Boris Petrov", "role": "viewer"},
}

EXAMPLES: Examples = {
    "POST /api/session/": Example(_SESSION, _CREDENTIALS),
    "POST /api/session/link/": Example(_SESSION, {"From a link": {"link": "mailing_<38 letters and digits>"}}),
    "POST /api/session/oidc/": Example(
        _SESSION,
        {"From a provider": {"id_token": "<header>.<claims>.<signature>", "nonce": "n-0S6_WzA2Mj-8hQ4xKz"}},
    ),
    "GET /api/me/": Example({"actor": "anna", "role": "operator", "user": _USER}),
    "PATCH /api/me/": Example(_USER, {"Another language": {"language": "ru"}}),
    "GET /api/user/": Example(page_of(_USER)),
    "POST /api/user/": Example(_USER, _NEW_USER),
    "PATCH /api/user/{user_id}/": Example(_USER, {"Another role": {"role": "operator"}}),
    "POST /api/user/{user_id}/link/": Example(
        {"link": "mailing_<38 letters and digits>", "expires_at": "2026-11-25T09:20:00Z"}
    ),
    "GET /api/token/": Example(page_of(_TOKEN)),
    "POST /api/token/": Example(_NEW_TOKEN, {"For a program": {"name": "shop backend", "role": "operator"}}),
    "GET /api/audit/": Example(page_of(_ENTRY)),
}
