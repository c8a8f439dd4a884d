"""`python -m deploy.sandbox`: the stand-in provider and its control port, in one process and one event loop."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from deploy.sandbox.control import control_app
from deploy.sandbox.provider import SandboxProvider, bound

TOKEN_VARIABLE = "MAILING_SANDBOX_TOKEN"  # noqa: S105 - its name, not the token


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.sandbox",
        description=f"The stand-in for the external SMS provider. The token is taken from {TOKEN_VARIABLE}.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address of both ports (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8090, help="the provider's API (default: %(default)s, 0: any)")
    parser.add_argument(
        "--control-port", type=int, default=8091, help="questions and behaviour (default: %(default)s)"
    )
    return parser.parse_args()


class ControlServer(uvicorn.Server):
    """uvicorn without its signal handlers: the process has two listeners to stop, not one."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(host: str, port: int, control_port: int, token: str) -> None:
    """Serve both ports until SIGTERM or SIGINT; says on standard output where they are, once they answer."""
    stopped = _stop_signal()
    provider = SandboxProvider(host, port, token)
    control_socket = bound(host, control_port)
    control_socket.listen()
    config = uvicorn.Config(control_app(provider), log_level="warning", access_log=False, lifespan="off")
    control = ControlServer(config)
    serving = asyncio.create_task(control.serve([control_socket]))
    await provider.open()
    control_port = control_socket.getsockname()[1]
    print(f"provider http://{host}:{provider.port} control http://{host}:{control_port}/docs", flush=True)

    await stopped.wait()
    await provider.close()
    control.should_exit = True
    await serving


def _stop_signal() -> asyncio.Event:
    """Set when the process is asked to stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not loop.add_signal_handler: Windows has none.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    return stopped


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop
    import uvloop

    return uvloop.new_event_loop


def main() -> int:
    options = arguments()
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        print(f"{TOKEN_VARIABLE} is not set: the provider would let everybody in.", file=sys.stderr)
        return 2
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        gc.freeze()  # what is loaded by now stays; the collector need not look at it again
        runner.run(serve(options.host, options.port, options.control_port, token))
    return 0


if __name__ == "__main__":
    sys.exit(main())
