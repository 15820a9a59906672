"""Where the other members stand, as far as this node can tell: who is linked, how high, and whether they need it.

Heights here are what members say of themselves, which nobody has proved. They may decide what this node does with its
own time, and what it asks for; never what it signs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from consensus import Replica
from ledger.quorum import power_of, quorum_power
from ledger.types import Genesis
from network.api import PeerStatus


class Links(Protocol):
    """The links, as far as they are asked here."""

    def connected(self, member: int) -> bool:
        """Whether there is one to this member now."""
        ...

    def round_trip_ms(self, member: int) -> float:
        """How long the last ping took, 0.0 before the first."""
        ...


class Peers:
    """All members but this one. `replica()` knows what they say of themselves, `sealed_height()` is this node's."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        member: int,
        links: Links,
        replica: Callable[[], Replica],
        sealed_height: Callable[[], int],
    ) -> None:
        self._validators = genesis.validators
        self._window = genesis.parameters.window
        self._links = links
        self._replica = replica
        self._sealed_height = sealed_height
        self.members = tuple(each for each in range(len(genesis.validators.members)) if each != member)

    def linked(self) -> list[int]:
        """Those there is a link to."""
        return [each for each in self.members if self._links.connected(each)]

    def heights(self) -> list[int]:
        """The sealed heights that all members told of."""
        return [peer.sealed_height for peer in self._replica().peers]

    def are_ahead(self) -> bool:
        """Whether one of them is out of this node's window: then it catches up."""
        return max(self.heights(), default=0) > self._sealed_height() + self._window

    def suffice(self) -> bool:
        """Whether all of them together are a quorum, without this node."""
        return self._are_quorum(self.members)

    def suffice_now(self) -> bool:
        """Whether those of them that are linked and level are a quorum, so that this node can be spared for a while."""
        lowest, heights = self._sealed_height() - self._window, self.heights()
        return self._are_quorum([each for each in self.linked() if heights[each] >= lowest])

    def all_lack(self, lacking: Collection[int]) -> bool:
        """Whether whoever is linked is among these, and there are any."""
        return bool(lacking) and set(lacking).issuperset(self.linked())

    def statuses(self) -> tuple[PeerStatus, ...]:
        """Each of them, for the operator."""
        return tuple(map(self._status, self.members))

    def _status(self, member: int) -> PeerStatus:
        said = self._replica().peers[member]
        return PeerStatus(
            member=member,
            name=self._validators.members[member].name,
            connected=self._links.connected(member),
            view=said.view,
            sealed_height=said.sealed_height,
            round_trip_ms=self._links.round_trip_ms(member),
        )

    def _are_quorum(self, members: Sequence[int]) -> bool:
        return power_of(members, self._validators.powers) >= quorum_power(self._validators.total_power)
