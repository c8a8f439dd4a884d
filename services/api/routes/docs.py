"""/docs/ and /openapi.json. Swagger UI comes with the service: it works on a machine that reaches nothing else."""

from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from services.api.problems import Problem, described

router = APIRouter(include_in_schema=False)

ASSETS = "/docs/assets"


@router.get("/docs/")
async def docs(request: Request) -> HTMLResponse:
    prefix = request.scope.get("root_path", "")  # of a proxy before us
    return get_swagger_ui_html(
        openapi_url=f"{prefix}{request.app.openapi_url}",
        title=request.app.title,
        swagger_js_url=f"{prefix}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{prefix}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{prefix}{ASSETS}/favicon-32x32.png",
        swagger_ui_parameters={"tryItOutEnabled": True, "displayRequestDuration": True},
    )


def describe_problems(app: FastAPI) -> None:
    """Puts the schema of problems, to which the routes' answers refer, into the description.

    And to the operations what they are answered before they are asked: 408, and 413 where there is a body.
    """
    plain = app.openapi

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            reference = "#/components/schemas/{model}"
            problem = Problem.model_json_schema(ref_template=reference, mode="serialization")
            parts = problem.pop("$defs")
            plain()["components"]["schemas"] |= {**parts, "Problem": problem}
            for path in plain()["paths"].values():
                for operation in path.values():
                    answers = operation["responses"] | {"408": described(HTTPStatus.REQUEST_TIMEOUT)}
                    if "requestBody" in operation:
                        answers["413"] = described(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                    operation["responses"] = dict(sorted(answers.items()))
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def assets() -> StaticFiles:
    """Swagger UI's files, from the package fastapi-swagger, whose only use here is to keep them."""
    return StaticFiles(packages=[("fastapi_swagger", "resources")])
