"""Names of members, accounts and contracts as a person types them: refused at the option, with one that would do."""

from __future__ import annotations

import re

from network.cli.console import UserError

NAME_RULE = "a small letter, then up to 62 of a-z, 0-9, _ and -"


def is_name(text: str) -> bool:
    """Whether the ledger takes this for a name."""
    from ledger.types import NAME_PATTERN

    return re.fullmatch(NAME_PATTERN.removeprefix("^").removesuffix("$"), text) is not None


def check_name(text: str, option: str, what: str) -> str:
    """The name. Raises `UserError` that names the option, the rule, and a name that would do."""
    if is_name(text):
        return text
    raise UserError(f"{option} {text[:80]!r} is no name for {what}: write {NAME_RULE}, such as {suggested(text)!r}")


def suggested(text: str) -> str:
    """The nearest name to what was typed: "Big Corp" -> "big-corp"."""
    found = re.sub(r"[^a-z0-9_]+", "-", text.lower()).lstrip("0123456789_-")[:63].rstrip("-")
    return found if is_name(found) else "acme"
