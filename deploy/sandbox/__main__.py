"""`python -m deploy.sandbox`: the stand-in provider and its control port, in one process and one event loop."""

import argparse
import asyncio
import os
import ssl
import sys

import uvicorn

from deploy.sandbox.control import control_app
from deploy.sandbox.provider import SandboxProvider, bound
from shared import __version__
from shared.http_server import Server
from shared.lifecycle import run

TOKEN_VARIABLE = "MAILING_SANDBOX_TOKEN"  # noqa: S105 - its name, not the token


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.sandbox",
        description=f"Run a stand-in for the external SMS provider. It accepts the token in {TOKEN_VARIABLE}.",
    )
    parser.add_argument("--version", action="version", version=f"mailing {__version__}")
    parser.add_argument("--host", default="127.0.0.1", help="address of both ports (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="provider's API (default: %(default)s; 0: any)")
    parser.add_argument(
        "--control-port", type=int, default=8091, help="control and statistics (default: %(default)s; 0: any)"
    )
    parser.add_argument("--certificate", help="speak TLS with this file: a private key and its certificates, PEM")
    return parser.parse_args()


async def serve(options: argparse.Namespace, token: str, stopping: asyncio.Event) -> None:
    """Serve both ports until `stopping` is set. Print their addresses once they answer."""
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
    provider = SandboxProvider(options.host, options.port, token, tls)
    control_socket = bound(options.host, options.control_port)
    control_socket.listen()
    config = uvicorn.Config(control_app(provider), log_level="warning", access_log=False, lifespan="off")
    control = Server(config)
    serving = asyncio.create_task(control.serve([control_socket]))
    await provider.open()
    control_port = control_socket.getsockname()[1]
    print(
        f"provider {'https' if tls else 'http'}://{options.host}:{provider.port}"
        f" control http://{options.host}:{control_port}/docs",
        flush=True,
    )
    await stopping.wait()
    await provider.close()
    control.should_exit = True
    await serving


def main() -> int:
    options = arguments()
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        print(f"{TOKEN_VARIABLE} is not set: the provider would accept any sender.", file=sys.stderr)
        return 2
    try:
        run(lambda stopping: serve(options, token, stopping))
    except OSError as error:  # of `bound`
        print(f"error: {error}: choose other ports by --port and --control-port", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
