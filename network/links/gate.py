"""How many callers that have not said who they are may try at a time: so many in all, so many from one address.

The addresses of members have places of their own, so a flood from elsewhere does not keep a member out. It counts; who
somebody is, and what becomes of a call, is for the mesh.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from network.links.link import LinkLimits


class Gate:
    """Counts the callers that have not proven who they are."""

    def __init__(self, limits: LinkLimits) -> None:
        self._limits = limits
        self._inside: Counter[str] = Counter()
        self._strangers = 0
        self._reserved: set[str] = set()

    def reserve(self, host: str) -> None:
        """This address belongs to a member: what strangers do elsewhere does not count for it."""
        self._reserved.add(plain_address(host))

    def enter(self, host: str) -> bool:
        """Whether one more from this address may try."""
        if self._inside[host] >= self._limits.unauthenticated_per_address_max:
            return False
        if host not in self._reserved and self._count_strangers() >= self._limits.unauthenticated_max:
            return False
        self._inside[host] += 1
        return True

    def leave(self, host: str) -> None:
        """It has proven who it is, or given up."""
        self._inside[host] -= 1
        if not self._inside[host]:
            del self._inside[host]

    def _count_strangers(self) -> int:
        return sum(count for host, count in self._inside.items() if host not in self._reserved)


def plain_address(host: str) -> str:
    """One spelling for an address: IPv4 inside IPv6 as IPv4. A name stays as it is."""
    try:
        address = ipaddress.ip_address(host.split("%", maxsplit=1)[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
