"""Fields that only the service decides, removed from bodies that a caller sends back."""

from collections.abc import Set as AbstractSet


def without(names: AbstractSet[str], given: object) -> object:
    """Return the JSON object without these fields; anything else is returned as it is."""
    return {name: given[name] for name in given if name not in names} if isinstance(given, dict) else given
