"""The error tree of the ledger: everything that a caller may want to tell apart, and nothing else.

LedgerError
├── CodecError               bytes that are not the one encoding of a value
│   ├── Malformed            they do not decode, or not to the expected type
│   └── NotCanonical         they decode, but the value has another encoding
├── KeyFileError             a key file is missing, wrong, unreadable or too readable
├── GenesisError             a genesis file breaks a rule, or differs from the stored one
├── HeightNotKept            a read of the state at a height that is pruned or not reached
├── InvalidProof             a proof, a seal or a receipt does not hold; the text says why
│   └── StateDiffers         a state of our own does not give the root that a sealed header names
└── StorageError             the disk did not keep what it was given
    ├── DatabaseInUse        another process holds the data directory
    ├── DiskFull             there was no room for it; what is stored already is whole
    ├── OtherFormat          what is stored is whole, and another version of the program wrote it
    └── DataLost             records that were once stored are gone or damaged
"""

from __future__ import annotations


class LedgerError(Exception):
    """Root of every error raised by `ledger`."""


class CodecError(LedgerError):
    """Bytes that are not the one encoding of a value."""


class Malformed(CodecError):
    """The bytes do not decode to the expected type."""


class NotCanonical(CodecError):
    """The bytes decode, but they are not the one encoding that the value has."""


class KeyFileError(LedgerError):
    """A key file is missing, of the wrong kind, locked by a passphrase, or readable by others."""


class GenesisError(LedgerError):
    """A genesis breaks a rule, or is not the one that this data directory was made with."""


class HeightNotKept(LedgerError):
    """The state at this height has been pruned, or has not been reached yet."""


class TooMuchLookedAt(LedgerError):
    """Reading at a height below the newest took more looks at what has changed since than were allowed."""


class InvalidProof(LedgerError):
    """A proof does not hold. The message completes the sentence "invalid, because ..."."""


class StateDiffers(InvalidProof):
    """The state that was read here gives another root than the sealed header names: this copy of it is damaged."""


class StorageError(LedgerError):
    """The disk did not keep what it was given."""


class DatabaseInUse(StorageError):
    """Another process has the data directory open."""


class DiskFull(StorageError):
    """There was no room to write. Nothing that was stored is harmed: opened again, it goes on when there is room."""


class OtherFormat(StorageError):
    """What is stored has another format than this program reads."""


class DataLost(StorageError):
    """Records that were once stored are gone or damaged; they must be fetched from peers again."""
