"""Adapters of providers. Each module has a function `open_adapter(access)` that returns one."""

import importlib
import pkgutil
from typing import cast

from services.sender.adapter import Access, Adapter, AdapterError


def load_adapter(name: str, access: Access) -> Adapter:
    """Return the adapter of this name. Raise AdapterError."""
    known = sorted(found.name for found in pkgutil.iter_modules(__path__))
    if name not in known:
        raise AdapterError(f"there is no provider adapter {name!r}, only {', '.join(known)}")
    module = importlib.import_module(f"{__name__}.{name}")
    return cast(Adapter, module.open_adapter(access))
