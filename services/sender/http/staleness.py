"""Test of an idle connection: has the server closed it, or sent something that nobody asked for?"""

import asyncio
import select


def is_readable(transport: asyncio.Transport) -> bool:
    """Return True if bytes or an end wait in the socket. Both make an idle connection useless.

    The event loop would see it in its next round. Asking now, just before a request is written, turns most
    requests that would be lost with a dying connection into requests that were never written.
    """
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
