"""/docs/ and the OpenAPI document. Swagger UI comes with the service, so that it works without the internet."""

import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from services.api.edge.examples import Example, Examples
from services.api.edge.problems import Problem, describe
from services.api.edge.query_parameters import remove_null
from services.api.edge.uploads import FORM

router = APIRouter(include_in_schema=False)

ASSETS = "/docs/assets"
_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of a program, or of a session. `mailing token create` makes one.",
}

_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@router.get("/")
async def front_page(request: Request) -> RedirectResponse:
    """Lead to Swagger UI."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs/")


@router.get("/docs/")
async def docs(request: Request) -> HTMLResponse:
    """Return Swagger UI."""
    prefix = request.scope.get("root_path", "")  # the path of a proxy in front of the service
    page = get_swagger_ui_html(
        openapi_url=f"{prefix}{request.app.openapi_url}",
        title=request.app.title,
        swagger_js_url=f"{prefix}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{prefix}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{prefix}{ASSETS}/favicon-32x32.png",
        swagger_ui_parameters={
            "tryItOutEnabled": True,
            "persistAuthorization": True,
            "displayRequestDuration": True,
        },
    )
    page.headers["Content-Security-Policy"] = _policy_of(bytes(page.body))
    return page


def _policy_of(page: bytes) -> str:
    """Return a content security policy that allows the page's own scripts, styles and images, and no others."""
    hashes = [b64encode(sha256(script).digest()).decode() for script in _INLINE_SCRIPT.findall(page)]
    scripts = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


def complete(app: FastAPI, examples: Examples, role_of: Callable[[str, str], str | None]) -> None:
    """Add to the OpenAPI document what FastAPI does not: the schema of problems, roles, and examples."""
    create_document = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = create_document()
            reference = "#/components/schemas/{model}"
            problem = Problem.model_json_schema(ref_template=reference, mode="serialization")
            parts = problem.pop("$defs")
            document["components"]["schemas"] |= {**parts, "Problem": problem}
            document["components"]["securitySchemes"] = {"token": _SCHEME}
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    _add_edge_answers(operation)
                    for parameter in operation.get("parameters", ()):
                        remove_null(parameter)
                    if (role := role_of(method.upper(), path)) is not None:
                        _add_access(operation, role)
                    if (name := f"{method.upper()} {path}") in examples:
                        _add_examples(operation, examples[name])
        return create_document()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _add_edge_answers(operation: dict[str, Any]) -> None:
    """Add the answers that the edge gives before the route is called."""
    answers = operation["responses"] | {"408": describe(HTTPStatus.REQUEST_TIMEOUT)}
    answers.setdefault("422", describe(HTTPStatus.UNPROCESSABLE_ENTITY))
    if "requestBody" in operation:
        answers["413"] = describe(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    operation["responses"] = dict(sorted(answers.items()))


def _add_access(operation: dict[str, Any], role: str) -> None:
    """Add the role that the operation requires."""
    operation["security"] = [{"token": [role]}]
    description = f"{operation.get('description', '')}\n\nRequires the role `{role}`."
    operation["description"] = description.strip()
    for status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        operation["responses"].setdefault(str(int(status)), describe(status))
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _add_examples(operation: dict[str, Any], example: Example) -> None:
    bodies: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    for content in (content for media_type, content in bodies.items() if media_type != FORM):
        content["examples"] = {summary: {"value": body} for summary, body in example.bodies.items()}
    answers = {"200": example.answer, "201": example.answer, "202": example.pending}
    for status in operation["responses"].keys() & answers:
        for content in operation["responses"][status]["content"].values():
            content["example"] = answers[status]


def assets() -> StaticFiles:
    """Return Swagger UI's files. The package fastapi-swagger is used only because it contains them."""
    return StaticFiles(packages=[("fastapi_swagger", "resources")])
