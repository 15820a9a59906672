"""What a light client trusts, kept in a file from one run to the next: a client that comes back believes no older keys.

The file is a proof of the highest header that was verified, with every change of the validators from the genesis on:
`quorate verify` checks it like any other, and so is it checked when it is read again.
"""

from __future__ import annotations

from pathlib import Path

from ledger import files
from ledger.errors import InvalidProof
from network.client.errors import ClientError, NotConfigured
from network.client.light import LightClient


def read_trust(path: Path, light: LightClient) -> None:
    """Learn what is in the file; nothing where there is none yet. Raises `NotConfigured`, which says what to do."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotConfigured(f"the trust file {path} cannot be read: {error.strerror}") from None
    try:
        light.learn(data)
    except ClientError as error:
        raise NotConfigured(
            f"the trust file {path} is not one of this network: {error}. Give this client another file; "
            "to begin again from the genesis, move it away"
        ) from None


def write_trust(path: Path, light: LightClient) -> None:
    """Keep what the light client trusts now, in one durable step. Raises `NotConfigured` where that is impossible.

    What another program has written there meanwhile is learned first: the file never goes back.
    """
    read_trust(path, light)
    try:
        text = light.to_proof()
    except InvalidProof as error:  # more changes of the validators than a proof can have
        raise NotConfigured(f"the trust file {path} cannot hold what is trusted now: {error}") from None
    if text is None:
        return
    try:
        files.replace(path, text.encode())
    except OSError as error:
        raise NotConfigured(f"the trust file {path} cannot be written: {error.strerror}") from None
