"""A provider that costs little: nginx, which answers every POST alike and writes down its id.

One process on a port of its own; from PATH, else installed with apt-get.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deploy.local.errors import NotInstalledError, StartError
from deploy.local.leashed_process import Ending, LeashedProcess
from deploy.local.packages import apt_install, can_apt_install
from deploy.local.ports import HOST, accepts, free_ports

PATIENCE = 10.0  # seconds to start, and to write out its log
# The token is looked at; the body is not, as the ids in the paths are what is compared.
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  log_format ids '$status $uri';
  access_log {folder}/ids.log ids buffer=256k;
  keepalive_requests 1000000000;
  keepalive_timeout 300;
  default_type application/json;
  server {{
    listen {host}:{port};
    location /v1/send/ {{
      if ($http_authorization != "Bearer {token}") {{ return 401 '{{"code": 401, "message": "token"}}'; }}
      if ($request_method != POST) {{ return 405; }}
      return 200 '{{"code": 0, "message": "OK"}}';
    }}
    location / {{ return 404; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Received:
    """Number of acceptances by id, and number of refused requests."""

    accepted: Counter[int]
    refused: int


def read_log(lines: Iterable[str]) -> Received:
    """Parse a log of lines such as `200 /v1/send/17`."""
    accepted: Counter[int] = Counter()
    refused = 0
    for line in lines:
        status, _, path = line.rstrip("\n").partition(" ")
        number = path.removeprefix("/v1/send/")
        if status == "200" and number.isdecimal():
            accepted[int(number)] += 1
        else:
            refused += 1
    return Received(accepted, refused)


class Nginx:
    """Runs inside its `with` block. `url` and `token` are what a provider is known by."""

    def __init__(self, folder: Path) -> None:
        """`folder` is emptied."""
        self._folder = folder
        (self._port,) = free_ports(1)
        self.url = f"http://{HOST}:{self._port}"
        self.token = secrets.token_hex(16)
        self.version = ""
        self._process: LeashedProcess | None = None

    def __enter__(self) -> Self:
        program = _program(self._folder.parent / "install.log")
        self.version = _version(program)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        configuration = self._folder / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(folder=self._folder, host=HOST, port=self._port, token=self.token)
        )
        with (self._folder / "output.log").open("ab") as out:
            self._process = LeashedProcess(
                [program, "-p", str(self._folder), "-c", str(configuration)],
                output=out,
                ending=Ending("QUIT", 5.0),
            )
        deadline = time.monotonic() + PATIENCE
        while not accepts(self._port):
            if time.monotonic() > deadline or self._process.returncode() is not None:
                told = (self._folder / "output.log").read_text(errors="replace")
                self._process.stop()
                raise StartError(f"nginx did not start: {told}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.stop()

    @property
    def pid(self) -> int:
        assert self._process
        assert self._process.pid
        return self._process.pid

    def take(self) -> Received:
        """Return the requests since the last call."""
        log, taken = self._folder / "ids.log", self._folder / "taken.log"
        log.rename(taken)
        os.kill(self.pid, signal.SIGUSR1)  # writes out what it has buffered, to the old file, and opens a new one
        deadline = time.monotonic() + PATIENCE
        while not log.exists():
            assert time.monotonic() < deadline, "nginx does not reopen its log"
            time.sleep(0.01)
        with taken.open() as lines:
            return read_log(lines)


def _program(log: Path) -> str:
    """Its path. Raises NotInstalledError."""
    # Debian keeps it where a plain user's PATH does not lead.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    if (found := shutil.which("nginx", path=path)) is None and can_apt_install():
        print("nginx is not installed: installing the package nginx-light with apt-get", flush=True)
        apt_install("nginx-light", log, ["nginx.service"])
        found = shutil.which("nginx", path=path)
    if found is None:
        raise NotInstalledError("nginx is not installed: sudo apt-get install nginx-light")
    return found


def _version(program: str) -> str:
    told = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=10, check=True).stderr
    return told.partition("/")[2].split()[0]
