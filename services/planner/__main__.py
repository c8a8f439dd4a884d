"""`python -m services.planner` runs a planner; any number of them may run."""

from services.planner.main import run_planner
from services.planner.settings import PlannerSettings
from shared.cli.service import run_service

DESCRIPTION = "Run a planner: it turns mailings into messages and jobs, releases them, and records their outcomes."

if __name__ == "__main__":
    run_service("planner", PlannerSettings, run_planner, DESCRIPTION)
