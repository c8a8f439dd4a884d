"""Addresses of the provider's host: which to try first. Pure."""

from collections.abc import Sequence

FRESH_FOR = 10.0  # seconds after which the name is looked up again
SHUN_FOR = 30.0  # seconds for which an address that failed is tried last


class AddressBook:
    """The addresses that a name stands for, and when each failed last. Instants are of a monotonic clock."""

    def __init__(self, fresh_for: float = FRESH_FOR) -> None:
        self._fresh_for = fresh_for
        self._addresses: tuple[str, ...] = ()
        self._looked_up_at = 0.0
        self._failed_at: dict[str, float] = {}
        self._turn = 0

    @property
    def is_empty(self) -> bool:
        return not self._addresses

    def is_fresh(self, now: float) -> bool:
        """Return True if the name need not be looked up again yet."""
        return bool(self._addresses) and now - self._looked_up_at < self._fresh_for

    def fill(self, addresses: Sequence[str], now: float) -> None:
        """Take the result of a lookup."""
        self._addresses = tuple(dict.fromkeys(addresses))
        self._looked_up_at = now
        self._failed_at = {address: at for address, at in self._failed_at.items() if address in self._addresses}

    def mark_failed(self, address: str, now: float) -> None:
        """Take note that connecting to an address failed."""
        self._failed_at[address] = now

    def mark_reached(self, address: str) -> None:
        """Take note that connecting to an address succeeded."""
        self._failed_at.pop(address, None)

    def order(self, now: float) -> list[str]:
        """Return all addresses in the order in which to try them.

        Connections take turns, so that they spread over the addresses. Those that failed lately come last.
        """
        count = len(self._addresses)
        turned = [self._addresses[(self._turn + index) % count] for index in range(count)]
        self._turn += 1
        return sorted(turned, key=lambda address: self._is_shunned(address, now))

    def _is_shunned(self, address: str, now: float) -> bool:
        failed_at = self._failed_at.get(address)
        return failed_at is not None and now - failed_at < SHUN_FOR
