"""Examples of the stop list."""

from services.api.edge.examples import Example, Examples, Json, page_of

_FIELDS: Json = {"scope": "marketing", "source": "call center", "note": "asked on 30 January"}
_NEW: Json = {"number": 79057003050, **_FIELDS}
_STOP: Json = {"id": 1, "number": 79057003050, **_FIELDS, "since": "2030-01-30T15:04:12.618210Z"}
_CHANGE: Json = {"scope": "all"}
_CHANGED: Json = {**_STOP, **_CHANGE}
_CSV = "number,scope,source,note\n79057003050,marketing,call center,asked on 30 January\n"

EXAMPLES: Examples = {
    "POST /api/stop/": Example(_STOP, {"All fields": _NEW, "The number alone": {"number": "+7 905 700-30-50"}}),
    "GET /api/stop/": Example(page_of(_STOP)),
    "POST /api/stop/import/": Example(
        {"rows": 1, "added": 1, "changed": 0, "unchanged": 0, "repeated": 0, "rejected": 0, "rejections": []},
        {"A file": _CSV},
    ),
    "GET /api/stop/export/": Example(_CSV),
    "GET /api/stop/{stop_id}/": Example(_STOP),
    "PUT /api/stop/{stop_id}/": Example(_CHANGED, {"Some fields": _CHANGE}),
    "PATCH /api/stop/{stop_id}/": Example(_CHANGED, {"Some fields": _CHANGE}),
}
