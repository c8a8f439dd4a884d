"""Command line of the API: `python -m services.api`."""

import json

from services.api.application import create_application
from services.api.main import run_api
from services.api.settings import ApiSettings
from shared.cli.service import run_service, service_parser

DESCRIPTION = (
    "Run the REST API: it stores clients, mailings and single messages, and shows the status of messages."
)


def main() -> None:
    """Serve the API, or print its OpenAPI document."""
    parser = service_parser("api", ApiSettings, DESCRIPTION)
    parser.add_argument(
        "--openapi",
        action="store_true",
        help="print the OpenAPI document as JSON and exit; this needs no settings and no server",
    )
    if parser.parse_args().openapi:
        print(json.dumps(create_application().openapi(), ensure_ascii=False, indent=2))  # noqa: T201 - the command's result
    else:
        run_service("api", ApiSettings, run_api, DESCRIPTION)


if __name__ == "__main__":
    main()
