"""`python -m services.planner` runs a planner; any number of them may run."""

from services.planner.main import run_planner
from services.planner.settings import PlannerSettings
from shared.lifecycle import run
from shared.settings import load
from shared.telemetry.log import configure
from shared.telemetry.tracing import tracing

if __name__ == "__main__":
    settings = load(PlannerSettings)
    configure("planner", settings.log_level, settings.log_format)
    with tracing("planner", settings):
        run(lambda stopping: run_planner(settings, stopping))
