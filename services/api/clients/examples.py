"""Examples of clients: the two of them get a mailing in `services.api.mailings.examples`."""

from services.api.edge.examples import Example, Examples, Json, page_of

_ANNA: Json = {"tag": "#AzbukaVkusa", "zone": "Europe/Moscow"}
_NEW_CLIENT: Json = {"number": "+7 (905) 700-30-50", **_ANNA}
CLIENT: Json = {"id": 1, "number": 79057003050, "code": 905, **_ANNA}
OTHER_CLIENT: Json = {"id": 2, "number": 79060000002, "code": 906, "tag": "#AzbukaVkusa", "zone": "Asia/Omsk"}
_CHANGES: Json = {"All fields": _NEW_CLIENT, "One field": {"tag": "#AzbukaVkusa"}}

_UPLOAD = """\
number,tag,zone
+7 (905) 700-30-50,#AzbukaVkusa,Europe/Moscow
79060000002,#AzbukaVkusa,Asia/Omsk
79070000003,#AzbukaVkusa,Moscow
"""
_IMPORTED: Json = {
    "rows": 3,
    "added": 2,
    "changed": 0,
    "unchanged": 0,
    "repeated": 0,
    "rejected": 1,
    "rejections": [
        {"line": 4, "reason": "zone: is not a known IANA time zone; they look like 'Europe/Moscow'"},
    ],
}
_DIRECTORY = """\
number,tag,zone
79057003050,#AzbukaVkusa,Europe/Moscow
79060000002,#AzbukaVkusa,Asia/Omsk
"""

EXAMPLES: Examples = {
    "POST /api/client/": Example(CLIENT, {"A client": _NEW_CLIENT}),
    "GET /api/client/": Example(page_of(CLIENT, OTHER_CLIENT)),
    "POST /api/client/import/": Example(_IMPORTED, {"Two clients and a wrong row": _UPLOAD}),
    "GET /api/client/export/": Example(_DIRECTORY),
    "GET /api/client/{client_id}/": Example(CLIENT),
    "PUT /api/client/{client_id}/": Example(CLIENT, _CHANGES),
    "PATCH /api/client/{client_id}/": Example(CLIENT, _CHANGES),
}
