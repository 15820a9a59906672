"""The mesh that a node's settings ask for: the same for one that votes and for one that joins and stays silent."""

from __future__ import annotations

import os
from collections.abc import Callable

from ledger.types import Genesis
from network.config import NodeConfig, split_address
from network.links.mesh import PeerMesh


def configured_mesh(
    config: NodeConfig,
    genesis: Genesis,
    member: int,
    *,
    on_frame: Callable[[int, bytes], None],
    on_state: Callable[[int, bool], None],
) -> PeerMesh:
    """This member's links, not started. Raises `LinkError` or `KeyFileError` for what its TLS files do not hold."""
    by_name = {validator.name: index for index, validator in enumerate(genesis.validators.members)}
    return PeerMesh(
        member=member,
        validators=genesis.validators,
        addresses={by_name[peer.name]: split_address(peer.address) for peer in config.peers},
        listen=split_address(config.peer.listen),
        tls_key_path=config.tls_key_path,
        tls_certificate_path=config.tls_certificate_path,
        tls_passphrase=config.passphrase(os.environ),
        chain_id=genesis.chain_id,
        on_frame=on_frame,
        on_state=on_state,
    )
