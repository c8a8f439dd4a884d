"""Settings of all services: what is wrong with them, and names that no service knows."""

import difflib
import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Iterator

from dotenv import dotenv_values

from shared.settings import LogSettings, SettingsError, read, variable

PREFIX = "MAILING_"
# Read by programs that are no service: the sandbox provider, and the image's name in deploy/compose.yaml.
OF_OTHERS = {"MAILING_SANDBOX_TOKEN", "MAILING_IMAGE"}


def service_settings() -> Iterator[type[LogSettings]]:
    """Yield the settings classes of the services: each `services/*/settings.py` defines one.

    They are found by their folder, because `shared` imports no service.
    """
    services = importlib.import_module("services")
    for folder in pkgutil.iter_modules(services.__path__):
        name = f"services.{folder.name}.settings"
        if importlib.util.find_spec(name) is None:
            continue
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, LogSettings) and value.__module__ == name:
                yield value


def all_setting_problems() -> list[str]:
    """Return a line for each setting that is missing, wrong or unknown."""
    problems: dict[str, None] = {}  # in order, without those that several services share
    for kind in service_settings():
        try:
            read(kind)
        except SettingsError as error:
            problems.update(dict.fromkeys(error.args))
    return [*problems, *unknown_settings()]


def unknown_settings() -> list[str]:
    """Return a line for each variable with our prefix that no service knows, as one with a typing error."""
    known = {variable(field) for kind in service_settings() for field in kind.model_fields} | OF_OTHERS
    return [_unknown(name, known) for name in sorted(_given() - known)]


def _given() -> set[str]:
    """Return the names with our prefix in the environment and in `.env`."""
    names = {name.upper() for name in (*os.environ, *dotenv_values(".env"))}
    return {name for name in names if name.startswith(PREFIX)}


def _unknown(name: str, known: set[str]) -> str:
    similar = difflib.get_close_matches(name, known, n=1)
    return f"setting {name}: no service knows it{f'; do you mean {similar[0]}?' if similar else ''}"
