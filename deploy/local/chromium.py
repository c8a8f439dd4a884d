"""Finds a Chromium for the tests of the console, and installs one where that is possible."""

import os
import shutil
from pathlib import Path

from deploy.local.errors import NotInstalledError
from deploy.local.packages import apt_install, can_apt_install, exclusive
from deploy.local.rabbitmq_programs import Notify

VARIABLE = "CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
HOW_TO_INSTALL = f"""Chromium is not installed, and it cannot be installed from here. Choose one of these:
  Debian           sudo apt-get install chromium
  another browser  {VARIABLE}=/path/to/chrome"""


def installed_chromium() -> Path | None:
    """Return the browser that the environment names, else one that is installed."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found:
        return Path(found)
    return MACOS if MACOS.exists() else None


def install_chromium(notify: Notify, log: Path) -> Path:
    """Install Chromium with the system's package manager, whose output goes to `log`, if there is none.

    Of several processes that call this at the same time, one installs and the others wait.

    Raises:
        NotInstalledError: that failed; the message says what to install by hand.
    """
    with exclusive(log):
        if found := installed_chromium():
            return found
        if can_apt_install():
            notify(
                "Chromium is not installed: installing the package chromium with apt-get (some minutes at most)"
            )
            apt_install("chromium", log, units=())
    if (found := installed_chromium()) is None:
        raise NotInstalledError(HOW_TO_INSTALL)
    return found
