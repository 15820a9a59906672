"""A key-value store whose entries have owners and versions.

Who first puts a key owns it, and alone may change it, delete it or hand it over. Each change names the version that it
is based on, and is refused if the entry has moved on: of two writers that read the same, the second is told.
Versions count all changes of the store, so none comes twice, not even for a key that was deleted and made again.
"""

from contracts import Contract, Event, Map, Value, Var, call, require, view

ABSENT = 0
KEY_CHARACTERS_MAX = 200
PAGE_MAX = 100


class Changed(Event):
    """An entry has a new value, or a new owner."""

    key: str
    owner: str
    version: int


class Deleted(Event):
    """An entry is gone; its version was this."""

    key: str
    version: int


class KeyValue(Contract):
    """Key -> value, owner, version, height."""

    entries: Map[str, dict[str, Value]]
    changes: Var[int]

    @call
    def put(self, key: str, value: Value, version: int) -> int:
        """Set a value, and answer its version. `version` is that of the entry as it was read, 0 for a new key."""
        require(0 < len(key) <= KEY_CHARACTERS_MAX, f"a key has 1 to {KEY_CHARACTERS_MAX} characters")
        entry = self.entries.get(key)
        if entry is None:
            require(version == ABSENT, "there is no such key")
        else:
            self.check(entry, version)
        return self.write(key, value, self.ctx.sender)

    @call
    def delete(self, key: str, version: int) -> None:
        """Remove an entry; anybody may put the key anew. For its owner."""
        entry = self.own(key, version)
        del self.entries[key]
        self.emit(Deleted(key=key, version=entry["version"]))

    @call
    def give(self, key: str, to: str, version: int) -> int:
        """Make another the owner, and answer the new version. For its owner."""
        entry = self.own(key, version)
        require(to != "" and to != self.ctx.sender, "an entry is given to somebody else")
        return self.write(key, entry["value"], to)

    @view
    def get(self, key: str) -> Value:
        """A value; None where there is none."""
        entry = self.entries.get(key)
        return None if entry is None else entry["value"]

    @view
    def entry(self, key: str) -> dict[str, Value] | None:
        """Value, owner, version, and height of the last change; None where there is none."""
        return self.entries.get(key)

    @view
    def listing(self, prefix: str, after: str, limit: int) -> list[tuple[str, dict[str, Value]]]:
        """Entries whose keys begin with `prefix`, in key order, from the one after `after` ("" for the first), at most
        100."""
        check_limit(limit)
        require(after == "" or after.startswith(prefix), "the key to go on from begins with the prefix")
        found = self.entries.items(limit, after=prefix if after == "" else after)
        if after == "" and prefix in self.entries:
            found = [(prefix, self.entries[prefix])] + found[: limit - 1]
        return [(key, entry) for key, entry in found if key.startswith(prefix)]

    @view
    def between(self, first: str, end: str, limit: int) -> list[tuple[str, dict[str, Value]]]:
        """Entries from the key `first` on and before the key `end`, in key order, at most 100. The next page begins at
        the last key with a "\\0" added."""
        check_limit(limit)
        found = self.entries.items(limit, after=first)
        if first in self.entries:
            found = [(first, self.entries[first])] + found[: limit - 1]
        return [(key, entry) for key, entry in found if key < end]

    def own(self, key: str, version: int) -> dict[str, Value]:
        entry = self.entries.get(key)
        require(entry is not None, "there is no such key")
        self.check(entry, version)
        return entry

    def check(self, entry: dict[str, Value], version: int) -> None:
        require(self.ctx.sender == entry["owner"], "only the owner changes an entry")
        require(version == entry["version"], f"the entry has version {entry['version']} by now")

    def write(self, key: str, value: Value, owner: str) -> int:
        version = self.changes.get(0) + 1
        self.changes.set(version)
        self.entries[key] = {"value": value, "owner": owner, "version": version, "height": self.ctx.height}
        self.emit(Changed(key=key, owner=owner, version=version))
        return version


def check_limit(limit: int) -> None:
    require(0 < limit <= PAGE_MAX, f"1 to {PAGE_MAX} entries at once")
