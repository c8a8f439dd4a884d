"""Base class of servers: they run inside `with server:`."""

from abc import ABC, abstractmethod
from typing import Self


class Startable(ABC):
    """Something that runs between `start` and `stop`."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
