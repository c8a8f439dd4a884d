"""Addresses that webhooks may be sent to. Pure.

Whoever may create a webhook must not reach servers of the internal network through the notifier. So only public
addresses are allowed, unless the settings name a network. The check is made on the address that is connected to,
because a name may lead anywhere.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAMES = (".localhost", ".local", ".internal")


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Return True if the IP address is public, or in one of the allowed networks."""
    ip = _innermost(ip_address(address.partition("%")[0]))
    if any(ip.version == network.version and ip in network for network in allowed):
        return True
    return ip.is_global and not ip.is_multicast


def check_url(url: str, allowed: Sequence[Network]) -> str:
    """Return the URL. Raises ValueError if it can be no webhook's, or names an address that is not allowed.

    A name is checked when it is connected to.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("is no URL") from error
    if parts.scheme not in {"http", "https"} or not host or not url.isascii() or any(c <= " " for c in url):
        raise ValueError("must look like https://example.org/path")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("must have no user, password or fragment")
    try:
        is_refused = not is_allowed(host, allowed)
    except ValueError:  # a name
        is_refused = not allowed and (host == "localhost" or host.endswith(_LOCAL_NAMES))
    if is_refused:
        raise ValueError("leads to an address that is not public, and MAILING_WEBHOOK_ALLOW does not name it")
    return url


def _innermost(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
