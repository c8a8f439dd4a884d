"""`python -m services.api` serves the API."""

from services.api.main import run_api
from services.api.settings import ApiSettings
from shared.lifecycle import run
from shared.settings import load
from shared.telemetry.log import configure
from shared.telemetry.tracing import export_traces

if __name__ == "__main__":
    settings = load(ApiSettings)
    configure("api", settings.log_level, settings.log_format)
    with export_traces("api", settings):
        run(lambda stopping: run_api(settings, stopping))
