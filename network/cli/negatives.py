"""Commands whose arguments may be negative numbers, which the parser would take for options: -5 is what it says."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

_NEGATIVE = re.compile(r"-\d+(\.\d+)?")


class TakesNegatives(TyperCommand):
    """A command of this class takes `call token transfer ann -5 --key k.pem`, with the lone -- or without."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The parser's, over the same words with what are arguments behind a lone --."""
        if "--" not in args and any(_NEGATIVE.fullmatch(word) for word in args):
            options, arguments = self._apart(args)
            args = [*options, "--", *arguments]
        return super().parse_args(ctx, args)

    def _apart(self, args: list[str]) -> tuple[list[str], list[str]]:
        """Options with their values, and arguments, each in their order."""
        valued = {name for each in self.params for name in each.opts if not getattr(each, "is_flag", True)}
        options: list[str] = []
        arguments: list[str] = []
        takes_next = False
        for word in args:
            is_option = word.startswith("-") and len(word) > 1 and not _NEGATIVE.fullmatch(word)
            (options if is_option or takes_next else arguments).append(word)
            takes_next = not takes_next and word in valued
        return options, arguments
