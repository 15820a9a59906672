"""`quorate evidence`: the proofs of misbehaviour that a node keeps, to look at and to take away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from network.cli.connection import DEFAULT_URL, Url, connect
from network.cli.console import AsJson, examples, say, say_json, short

EVIDENCE_EXAMPLES = examples(
    "quorate evidence", "quorate evidence --save findings", "quorate verify findings/FILE --genesis genesis.json"
)


def evidence(
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Also write every proof as a file into this directory.", show_default=False),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Members that signed two messages of which a correct one signs at most one.

    Each finding is a file that anybody can check offline with `quorate verify`.
    """
    with connect(url) as client:
        found = client.get("/v1/evidence")["evidence"]
        texts = {each["file"]: client.get(f"/v1/evidence/{each['file']}") for each in (found if save else ())}
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)
        for name, document in texts.items():
            (save / Path(name).name).write_text(json.dumps(document, indent=2) + "\n")
    if as_json:
        say_json({"evidence": found})
        return
    if not found:
        say("no evidence: nobody was seen to sign two different messages")
    for each in found:
        say(f"{each['name']} (member {each['member']}) signed two of {place(each)}")
        say(f"  {each['file']}")
    if save is not None and found:
        say(f"written to {short(save)}   check one with: quorate verify {short(save)}/FILE --genesis FILE")


def place(found: dict[str, Any]) -> str:
    """The place that was signed twice, in words."""
    parts = [f"{name} {found[name]}" for name in ("view", "height") if found[name] is not None]
    return f"{found['kind']}, {', '.join(parts)}"
