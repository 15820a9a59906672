"""What is wrong with a seal whose header is right: a member's signature, a name in it, its form, or its power.

The header says what the seal has to be, all but the signatures; and whose a signature is, the signature itself says.
"""

from __future__ import annotations

from ledger import codec, crypto
from ledger.errors import CodecError, InvalidProof
from ledger.seals import assemble_seal, checkpoint_message, verify_sealed_header
from ledger.types import Checkpoint, Genesis, Header, Seal
from network.audit.findings import Finding, Wrong, first_difference, mending_byte
from network.audit.rows import HeightRows, field_at


def find_wrong_seal(genesis: Genesis, found: HeightRows, header: Header, sealed_height: int) -> None:
    """Raises `Wrong` unless the seal, where there has to be one, is a seal of this header."""
    height, row, record = found.height, found.seal, f"row s {found.height}"
    if row is None:
        if 0 < height <= sealed_height:
            raise Wrong(Finding(record, "the seal", f"the row is missing; {sealed_height} is sealed", height))
        return
    if height == 0:
        raise Wrong(Finding(record, "the seal", "genesis has none", height, 0))
    try:
        seal = codec.decode(row, Seal)
        verify_sealed_header(header, seal, genesis.validators)
    except CodecError as error:
        _find_wrong_form(genesis, header, row, record, str(error))
    except InvalidProof as error:
        _find_wrong_word(genesis, header, seal, row, record, str(error))
        _find_wrong_signature(genesis, header, seal, row, record)
        raise Wrong(Finding(record, "the seal", str(error), height, 0)) from None


def _find_wrong_form(genesis: Genesis, header: Header, row: bytes, record: str, because: str) -> None:
    def holds(changed: bytes) -> bool:
        try:
            verify_sealed_header(header, codec.decode(changed, Seal), genesis.validators)
        except (CodecError, InvalidProof):
            return False
        return True

    mended = mending_byte(row, holds)
    if mended is None:
        raise Wrong(Finding(record, "the seal's encoding", because, header.height, 0))
    place = field_at(codec.decode(mended[1], Seal), mended[0])
    part = f"the seal's encoding{', at its ' + place if place else ''}"
    raise Wrong(Finding(record, part, because, header.height, mended[0], exact=True))


def _find_wrong_word(genesis: Genesis, header: Header, seal: Seal, row: bytes, record: str, because: str) -> None:
    """The seal that these signatures make up, were everything else right: where does this one differ?"""
    owners = {}
    for entry in seal.signatures:
        named = entry.member if entry.member < len(genesis.validators.members) else 0
        for member in (named, *range(len(genesis.validators.members))):
            if _signed(genesis, header, member, entry.signature):
                owners[member] = entry.signature
                break
    right = assemble_seal(header.epoch, header.height, header.hash, owners)
    if len(owners) != len(seal.signatures):
        words = (seal.epoch, seal.height, seal.header_hash) != (right.epoch, right.height, right.header_hash)
        if not owners or not words:
            return
    expected = right.encode()
    offset = first_difference(row, expected)
    if offset is None:
        return  # every signature is right: they are too few
    part = f"the seal's {field_at(right, offset) or 'encoding'}"
    raise Wrong(Finding(record, part, because, header.height, offset, exact=True))


def _find_wrong_signature(genesis: Genesis, header: Header, seal: Seal, row: bytes, record: str) -> None:
    members = genesis.validators.members
    for entry in seal.signatures:
        if entry.member < len(members) and _signed(genesis, header, entry.member, entry.signature):
            continue
        begins = row.find(entry.signature)

        def holds(changed: bytes, member: int = entry.member) -> bool:
            return _signed(genesis, header, member, changed)

        mended = mending_byte(entry.signature, holds)
        name = members[entry.member].name if entry.member < len(members) else "no member"
        because = "it is not that member's over this header"
        part = f"the seal's signature of member {entry.member} ({name})"
        offset = begins + (mended[0] if mended else 0)
        raise Wrong(Finding(record, part, because, header.height, offset, exact=mended is not None))


def _signed(genesis: Genesis, header: Header, member: int, signature: bytes) -> bool:
    if member >= len(genesis.validators.members):
        return False
    checkpoint = Checkpoint(header.epoch, header.height, member, header.hash)
    message = checkpoint_message(genesis.chain_id, checkpoint)
    return crypto.verify(genesis.validators.members[member].public_key, message, signature)
