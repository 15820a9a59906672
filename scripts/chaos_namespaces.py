"""A network namespace for each member, where the system allows it: then a cut drops packets in the kernel.

Every member's namespace hangs on one bridge, which has an address for each pair of members: their relay listens and
calls from there. A way is cut by giving its sender a wrong link address for that pair: its frames go to nobody, TCP
notices nothing and backs off, as on a real network. Needs root and `ip`; all is named after this process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence

Way = tuple[int, int]

PREFIX = "qc"
NOWHERE = "02:00:00:00:de:ad"
SUBNETS = range(10, 250)  # 10.91.X.0/24, by process id


class NotAllowed(Exception):
    """Namespaces cannot be made here; the text says what failed."""


class Namespaces:
    """Made by `make`, taken down by `close`."""

    def __init__(self, members: int) -> None:
        self._members = members
        self._tag = f"{PREFIX}{os.getpid()}"
        self._subnet = f"10.91.{SUBNETS[os.getpid() % len(SUBNETS)]}"
        self._pairs = [(a, b) for a in range(members) for b in range(a + 1, members)]
        self._bridge_address = ""

    def name(self, member: int) -> str:
        """The namespace of a member."""
        return f"{self._tag}-{member}"

    def address(self, member: int) -> str:
        """Where a member is reached, by its peers' relays and by clients."""
        return f"{self._subnet}.{member + 1}"

    def pair_address(self, way: Way) -> str:
        """Where the relay of a pair listens, and calls from."""
        return f"{self._subnet}.{100 + self._pairs.index((min(way), max(way)))}"

    def make(self) -> None:
        """Make bridge and namespaces. Raises `NotAllowed`, and leaves nothing then."""
        if shutil.which("ip") is None:
            raise NotAllowed("there is no command `ip`")
        _sweep()
        try:
            self._make()
        except NotAllowed:
            self.close()
            raise

    def _make(self) -> None:
        bridge = f"{self._tag}br"
        _ip("link", "add", bridge, "type", "bridge")
        for way in self._pairs:
            _ip("addr", "add", f"{self.pair_address(way)}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for member in range(self._members):
            name, outside, inside = self.name(member), f"{self._tag}v{member}", f"{self._tag}w{member}"
            _ip("netns", "add", name)
            _ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            _ip("link", "set", inside, "netns", name)
            _ip("link", "set", outside, "master", bridge, "up")
            _ip("-n", name, "link", "set", inside, "name", "eth0")
            _ip("-n", name, "addr", "add", f"{self.address(member)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        shown = _ip("-o", "link", "show", bridge).split()
        self._bridge_address = shown[shown.index("link/ether") + 1]

    def close(self) -> None:
        """Take everything down that is there."""
        for member in range(self._members):
            _ip("link", "del", f"{self._tag}v{member}", check=False)
            _ip("netns", "del", self.name(member), check=False)
        _ip("link", "del", f"{self._tag}br", check=False)

    def within(self, member: int, command: Sequence[str]) -> list[str]:
        """The command that runs `command` as this member."""
        return ["ip", "netns", "exec", self.name(member), *command]

    def cut(self, ways: Iterable[Way]) -> None:
        """What the first of each way sends to the second is lost from now on."""
        for way in ways:
            self._point(way, NOWHERE)

    def mend(self, ways: Iterable[Way]) -> None:
        """It arrives again."""
        for way in ways:
            self._point(way, self._bridge_address)

    def _point(self, way: Way, link_address: str) -> None:
        words = ("neigh", "replace", self.pair_address(way), "lladdr", link_address, "dev", "eth0", "nud", "permanent")
        _ip("-n", self.name(way[0]), *words)


def _sweep() -> None:
    """Take down what a run that was killed has left."""
    for line in _ip("netns", "list", check=False).splitlines():
        name = line.split()[0]
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):  # noqa: PTH110
            _ip("netns", "del", name, check=False)  # its end of the wire, and so the other, go with it
            _ip("link", "del", f"{PREFIX}{owner}br", check=False)


def _ip(*words: str, check: bool = True) -> str:
    ended = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=10)
    if check and ended.returncode:
        raise NotAllowed(f"ip {' '.join(words)}: {ended.stderr.strip()}")
    return ended.stdout
