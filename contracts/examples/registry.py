"""A notary: that somebody knew these bytes by then, without showing them.

What is registered is the SHA-256 of a file, once, by whoever is first. The entry says who and when; its place in
the state, and the sealed block it came with, prove it to anybody.
"""

from contracts import Contract, Event, Map, Value, Var, call, require, view


class Registered(Event):
    """A hash was entered for the first time."""

    digest: str
    name: str
    owner: str


class Registry(Contract):
    """SHA-256 (64 lower-case hex digits) -> name, owner, height, time in milliseconds."""

    entries: Map[str, dict[str, Value]]
    total: Var[int]

    @call
    def register(self, digest: str, name: str) -> None:
        """Enter one hash under a name, such as the file's path."""
        self.enter(digest, name)
        self.total.set(self.total.get(0) + 1)

    @call
    def register_many(self, items: list[tuple[str, str]]) -> int:
        """Enter (hash, name) pairs, all or none, and answer how many."""
        require(0 < len(items) <= 500, "1 to 500 entries at once")
        for digest, name in items:
            self.enter(digest, name)
        self.total.set(self.total.get(0) + len(items))
        return len(items)

    @view
    def entry(self, digest: str) -> dict[str, Value] | None:
        """Name, owner, height and time of a hash; None where it is not registered."""
        return self.entries.get(digest)

    @view
    def count(self) -> int:
        """How many hashes are registered."""
        return self.total.get(0)

    @view
    def listing(self, after: str, limit: int) -> list[tuple[str, dict[str, Value]]]:
        """Entries in the order of their hashes, from the one after `after` ("" for the first), at most 100."""
        require(0 < limit <= 100, "1 to 100 entries at once")
        return self.entries.items(limit, after=after)

    def enter(self, digest: str, name: str) -> None:
        require(len(digest) == 64 and digest.strip("0123456789abcdef") == "", "a hash is 64 lower-case hex digits")
        require(0 < len(name) <= 256, "a name has 1 to 256 characters")
        require(digest not in self.entries, "registered already")
        self.entries[digest] = {
            "name": name,
            "owner": self.ctx.sender,
            "height": self.ctx.height,
            "time": self.ctx.time,
        }
        self.emit(Registered(digest=digest, name=name, owner=self.ctx.sender))
