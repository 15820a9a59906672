"""Everything that is decided about a source before Python's parser may see it: size, characters, tokens, nesting.

The parser of the host is large, recursive and different in every version. So the text is first read by a small
lexer of our own, in one pass, which bounds what could make the parser overflow or dawdle, and refuses the spellings
on which versions of Python disagree (string prefixes, escapes, f-strings, type parameters). What passes here means
the same on every supported Python. It knows tokens; it knows no grammar.
"""

from __future__ import annotations

import re
from typing import Final

from contracts.language import limits
from contracts.language.interface import Problem

_OPENING: Final = {"(": ")", "[": "]", "{": "}"}
_CLOSING: Final = frozenset(_OPENING.values())

# Invisible or direction-changing characters: a reviewer would not see what runs. Fixed ranges, because the host's
# Unicode tables differ between versions.
_HIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U000110bd\U000110cd\U00013430-\U00013440"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_HIDDEN_KNOWN: Final = {
    "\t": "a tab; indent with spaces, and write \\t in a string",
    "\r": "the invisible character U+000D: lines end with a newline alone",
    "\0": "the invisible character U+0000: this is no text, or text that is not UTF-8",
    "\ufeff": "the invisible character U+FEFF, a byte order mark: save the file as UTF-8 without it",
}
_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=]")

_TOKEN = re.compile(
    r"""
    (?P<space>[ ]+|\\\n)
  | (?P<comment>\#[^\n]*)
  | (?P<newline>\n)
  | (?P<number>0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<string>\"\"\"|'''|"|')
  | (?P<operator>\*\*=|//=|>>=|<<=|\.\.\.|!=|->|\+=|-=|\*=|/=|%=|&=|\|=|\^=|@=|==|<=|>=|<<|>>|\*\*|//|:=
      |[-+*/%@&|^~<>()\[\]{},:.;=])
    """,
    re.VERBOSE,
)
_STRING_END: Final = {
    "'": re.compile(r"(?:[^\\']|\\.)*?'", re.DOTALL),
    '"': re.compile(r'(?:[^\\"]|\\.)*?"', re.DOTALL),
    "'''": re.compile(r"(?:[^\\]|\\.)*?'''", re.DOTALL),
    '"""': re.compile(r'(?:[^\\]|\\.)*?"""', re.DOTALL),
}
_ESCAPE = re.compile(r"\\(\n|[\\'\"abfnrtv]|x[0-9a-fA-F]{2}|[0-7]{1,3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})?", re.DOTALL)
_BYTES_ESCAPE = re.compile(r"\\(\n|[\\'\"abfnrtv]|x[0-9a-fA-F]{2}|[0-7]{1,3})?", re.DOTALL)
_FRACTION = re.compile(r"\.[0-9_]*(?:[eE][-+]?[0-9][0-9_]*)?")
_WORD = re.compile(r"\w+|[^\w\s]")
_BYTES_A_WORD: Final = 450
_PREFIXES: Final = frozenset({"", "r", "b", "f", "rb", "br"})
_COUNTED_WORDS: Final = frozenset({"and", "or", "not", "if", "else", "in", "is", "for"})
_REFUSED_WORDS: Final = {
    "except": "`except`: a failure ends the whole transaction and cannot be caught",
    "lambda": "`lambda`: write a method",
    "yield": "`yield`: build a list",
    "async": "`async`: a contract runs to its end in one go",
    "await": "`await`: a contract runs to its end in one go",
}
_RESETS: Final = frozenset({",", ";", "="})


def text_of(source: str | bytes) -> str | list[Problem]:
    """The text of a source with unix line ends, or why it is none."""
    text = _decoded(source)
    return text if isinstance(text, list) else text.replace("\r\n", "\n")


def _decoded(source: str | bytes) -> str | list[Problem]:
    if len(source) > limits.SOURCE_BYTES_MAX:
        return [_too_large(len(source))]
    if isinstance(source, bytes):
        try:
            return source.decode("utf-8")
        except UnicodeDecodeError as error:
            return [_not_utf8(source, error.start)]
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        line = source.count("\n", 0, error.start) + 1
        return [Problem(line, 1, "encoding", "the source has a lone surrogate, which is no character")]
    return [_too_large(size)] if size > limits.SOURCE_BYTES_MAX else source


def _not_utf8(source: bytes, at: int) -> Problem:
    line_start = source.rfind(b"\n", 0, at) + 1
    column = len(source[line_start:at].decode("utf-8")) + 1
    looks = ", it looks like UTF-16" if source[:2] in (b"\xff\xfe", b"\xfe\xff") else f": the byte {source[at]:02x}"
    message = f"the source is not UTF-8{looks}; save the file as UTF-8"
    return Problem(source.count(b"\n", 0, at) + 1, column, "encoding", message)


def memory_of(text: str) -> int:
    """About the bytes of memory that a program of this source takes once it is compiled; rather more than less."""
    return _BYTES_A_WORD * sum([1 for _ in _WORD.finditer(text)])


def _too_large(size: int) -> Problem:
    return Problem(1, 1, "too_large", f"the source has {size} bytes or more, at most {limits.SOURCE_BYTES_MAX} fit")


def inspect(text: str) -> tuple[list[Problem], bool]:
    """The problems that forbid parsing, and whether `ast.parse` is safe on this text.

    It is where there is no problem. It may be beside problems that are matters of the language and not of the parser:
    an author wants to hear of what comes after them as well.
    """
    if problems := _characters(text):
        return problems, False
    lexer = _Lexer(text)
    return lexer.run(), lexer.is_whole


def _characters(text: str) -> list[Problem]:
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > limits.LINE_CHARACTERS_MAX:
            message = f"a line of {len(line)} characters, at most {limits.LINE_CHARACTERS_MAX} are allowed"
            problems.append(Problem(number, limits.LINE_CHARACTERS_MAX, "too_large", message))
        if number <= 2 and _COOKIE.match(line):
            message = "a coding cookie: contracts are always UTF-8; delete this comment"
            problems.append(Problem(number, 1, "encoding", message))
        for match in _HIDDEN.finditer(line):
            problems.append(Problem(number, match.start() + 1, "character", _hidden(match[0])))
            if len(problems) >= limits.PROBLEMS_MAX or match[0] == "\0":
                return problems
    return problems


def _hidden(character: str) -> str:
    """What it is, and what to write instead."""
    code = ord(character)
    if character in _HIDDEN_KNOWN:
        return _HIDDEN_KNOWN[character]
    escape = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return f"the invisible character U+{code:04X}: delete it, or write {escape} in a string"


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


class _Stop(Exception):
    """Nothing more can be said about this text."""


class _Lexer:
    """One pass over the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.line_start = 0
        self.tokens = 0
        self.problems: list[Problem] = []
        self.is_whole = False  # everything was read, and is within the limits of a parser
        self.brackets: list[str] = []
        self.chains = [0]  # for each open bracket, the operators since the last comma
        self.elifs: dict[int, int] = {}  # by column: how many in the chain that is open there
        self.indents = [0]
        self.line_words: list[str] = []  # the first tokens of the logical line, for version-dependent spellings

    def run(self) -> list[Problem]:
        """All problems, or those up to the first that makes the rest unreadable."""
        try:
            self._indentation()
            while self.at < len(self.text):
                self._token()
            if self.brackets:
                self._stop("lexical", f"a bracket {self.brackets[-1]!r} is missing at the end")
            self.is_whole = True
        except _Stop:
            pass
        return self.problems

    def _problem(self, code: str, message: str, at: int | None = None) -> None:
        column = (self.at if at is None else at) - self.line_start + 1
        self.problems.append(Problem(self.line, column, code, message))
        if len(self.problems) >= limits.PROBLEMS_MAX:
            raise _Stop

    def _stop(self, code: str, message: str) -> None:
        self._problem(code, message)
        raise _Stop

    def _token(self) -> None:
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            self._unknown_character()
            return
        kind = match.lastgroup
        if kind == "newline":
            self._newline()
            return
        if kind == "space":
            if match[0] == "\\\n":
                self._stop("not_allowed", "a line continued with a backslash; use brackets")
            self.at = match.end()
            return
        if kind == "comment":
            self.at = match.end()
            return
        self.tokens += 1
        if self.tokens > limits.TOKENS_MAX:
            self._stop("too_large", f"more than {limits.TOKENS_MAX} tokens")
        if kind == "string":
            self._string("", match[0])
        elif kind == "name":
            self._name(match[0])
        elif kind == "number":
            self._number(match[0])
        else:
            self._operator(match[0])

    def _unknown_character(self) -> None:
        character = self.text[self.at]
        if character.isascii():
            self._stop("lexical", f"the character {character!r} has no place here")
        else:
            self._stop("character", f"U+{ord(character):04X} outside a string or comment: names are ASCII only")

    # ── lines ──

    def _newline(self) -> None:
        self.at += 1
        self.line += 1
        self.line_start = self.at
        if not self.brackets:
            self.chains = [0]
            self.line_words = []
            self._indentation()

    def _indentation(self) -> None:
        end = self.at
        while end < len(self.text) and self.text[end] == " ":
            end += 1
        if end >= len(self.text) or self.text[end] in "\n#":
            return
        width = end - self.at
        while self.indents and width < self.indents[-1]:
            self.indents.pop()
        if not self.indents or width > self.indents[-1]:
            self.indents.append(width)
        if len(self.indents) - 1 > limits.INDENT_DEPTH_MAX:
            self._stop("too_deep", f"blocks nested deeper than {limits.INDENT_DEPTH_MAX}")
        self.elifs = {column: count for column, count in self.elifs.items() if column <= width}
        if self.text.startswith("elif", end):
            self.elifs[width] = self.elifs.get(width, 0) + 1
            if self.elifs[width] > limits.ELIF_CHAIN_MAX:
                self._stop("too_deep", f"more than {limits.ELIF_CHAIN_MAX} elif in a row; use a dict")
        elif not self.text.startswith("else", end):
            self.elifs.pop(width, None)

    # ── words ──

    def _name(self, word: str) -> None:
        following = self.text[self.at + len(word) : self.at + len(word) + 1]
        if following in ("'", '"') and following:
            self._prefixed_string(word)
            return
        if len(word) > limits.NAME_CHARACTERS_MAX:
            self._problem("name", f"a name of {len(word)} characters, at most {limits.NAME_CHARACTERS_MAX} are allowed")
        if word in _COUNTED_WORDS:
            self._count()
        if word in _REFUSED_WORDS:
            self._count()
            self._problem("not_allowed", _REFUSED_WORDS[word])
        self._remember(word)
        self.at += len(word)

    def _prefixed_string(self, prefix: str) -> None:
        if prefix.lower() not in _PREFIXES:
            message = (
                f"the string prefix {prefix!r}; there are r, b, f and rb"
                if len(prefix) <= 2
                else (f"a quote right after {prefix[:20]!r}")
            )
            self._stop("not_allowed", message)
        quote = self._quote_at(self.at + len(prefix))
        self.at += len(prefix)
        self._string(prefix.lower(), quote)

    def _quote_at(self, at: int) -> str:
        mark = self.text[at]
        return mark * 3 if self.text.startswith(mark * 3, at) else mark

    def _remember(self, word: str) -> None:
        """Refuse spellings that only newer Pythons read: `def f[T]`, `class C[T]`, `type X = ...`, `except A, B`."""
        words = self.line_words
        if len(words) < 3:
            words.append(word)
            if len(words) == 3 and words[2] == "[" and words[0] in ("def", "class", "type"):
                self._stop("not_allowed", "type parameters: generic code has no place in a contract")
            if len(words) == 3 and words[0] == "type" and words[2] == "=" and words[1].isidentifier():
                self._stop("not_allowed", "a type alias: write the type out")

    # ── numbers and strings ──

    def _number(self, digits: str) -> None:
        end = self.at + len(digits)
        following = self.text[end : end + 1]
        if following == "." and not self.text.startswith("...", end):
            after = self.text[end + 1 : end + 2]
            if not (after.isalpha() or after == "_"):
                self._problem("not_allowed", "a float: use integers of the smallest unit, or Decimal('0.5')")
                end = _end_of(_FRACTION, self.text, end)
                following = self.text[end : end + 1]
        if following and (following.isalnum() or following == "_"):
            reason = "a float or complex number" if following in "eEjJ" else "a letter right after a number"
            self._stop("not_allowed", f"{reason}: use integers, and a space before words")
        if len(digits) > limits.INTEGER_DIGITS_MAX:
            self._stop("too_large", f"a number of {len(digits)} digits; values lie within 256 bits")
        self._remember(digits)
        self.at = end

    def _string(self, prefix: str, quote: str) -> None:
        start = self.at + len(quote)
        end = _STRING_END[quote].match(self.text, start)
        if end is None:
            self._stop("lexical", "a string without its end")
            return
        body = self.text[start : end.end() - len(quote)]
        if len(quote) == 1 and "\n" in body:
            self._stop("lexical", "a string without its end on this line")
        if "f" in prefix:
            self._format_string(body)
        if "r" not in prefix:
            self._escapes(body, start, _BYTES_ESCAPE if "b" in prefix else _ESCAPE)
        if "b" in prefix and not body.isascii():
            self._problem("character", "a character that is not ASCII in bytes")
        self._remember("'")
        newlines = body.count("\n")
        if newlines:
            self.line += newlines
            self.line_start = start + body.rindex("\n") + 1
        self.at = end.end()

    def _escapes(self, body: str, start: int, known: re.Pattern[str]) -> None:
        at = body.find("\\")
        while at >= 0:
            match = known.match(body, at)
            assert match is not None
            if match[1] is None:
                self._problem(
                    "not_allowed", f"the escape {ascii(body[at : at + 2])[1:-1]}; write \\\\ for a backslash", start
                )
                at = body.find("\\", at + 2)
                continue
            self._escape_value(match[1], start)
            at = body.find("\\", match.end())

    def _escape_value(self, escape: str, start: int) -> None:
        if escape[0] in "uU":
            number = int(escape[1:], 16)
            if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
                self._problem("character", f"U+{number:04X} is no character", start)
        elif escape[0] in "01234567" and int(escape, 8) > 0o377:
            self._problem("not_allowed", f"the escape \\{escape} lies above one byte", start)

    def _format_string(self, body: str) -> None:
        """Hold an f-string to what every version reads alike: no quotes of its own kind, no backslash, no spec."""
        at = 0
        while at < len(body):
            character = body[at]
            if body.startswith(("{{", "}}"), at):
                at += 2
            elif character == "{":
                before = self.chains[-1]
                at = self._format_field(body, at + 1)
                self.chains[-1] = before
            elif character == "}":
                self._stop("lexical", "a single } in an f-string; write }}")
            else:
                at += 1

    def _format_field(self, body: str, at: int) -> int:
        depth = 0
        quote = ""
        begin = at
        while at < len(body):
            character = body[at]
            if character in "\\\n{#":
                self._stop("not_allowed", f"{character!r} inside the braces of an f-string; assign it to a name first")
            if quote:
                quote = "" if character == quote else quote
            elif character in "'\"":
                if body[at - 1].isalnum():
                    self._stop("not_allowed", "a string prefix inside the braces of an f-string")
                quote = character
            elif character in "([":
                depth += 1
                self._count()
            elif character in ")]":
                depth -= 1
            elif character == "}" and depth <= 0:
                return self._field_end(body[begin:at], at)
            elif character in ":!" and depth <= 0:
                self._stop("not_allowed", "a format or conversion in an f-string; only {expression} is known")
            elif not character.isascii():
                self._stop("character", f"U+{ord(character):04X} in an expression: names are ASCII only")
            elif not character.isalnum() and character not in " _,":
                self._count()
            if depth > 4:
                self._stop("too_deep", "brackets nested too deep inside an f-string")
            at += 1
        self._stop("lexical", "an f-string with { but no }")
        return at

    def _field_end(self, field: str, at: int) -> int:
        if not field.strip():
            self._stop("lexical", "empty braces in an f-string")
        if field.rstrip().endswith("="):
            self._stop("not_allowed", "the = of a self-documenting f-string; write the text out")
        for word in field.replace("(", " ").replace(")", " ").split():
            if word in _COUNTED_WORDS:
                self._count()
            if re.fullmatch(r"[0-9_]+", word) and len(word) > limits.INTEGER_DIGITS_MAX:
                self._stop("too_large", f"a number of {len(word)} digits; values lie within 256 bits")
        return at + 1

    # ── operators ──

    def _operator(self, symbol: str) -> None:
        if symbol in _OPENING:
            self._count()
            self.brackets.append(symbol)
            self.chains.append(0)
            if len(self.brackets) > limits.BRACKET_DEPTH_MAX:
                self._stop("too_deep", f"brackets nested deeper than {limits.BRACKET_DEPTH_MAX}")
        elif symbol in _CLOSING:
            if not self.brackets or _OPENING[self.brackets[-1]] != symbol:
                self._stop("lexical", f"{symbol!r} closes nothing")
            self.brackets.pop()
            self.chains.pop()
        elif symbol in _RESETS:
            self.chains[-1] = 0
        elif symbol == ":":
            if self.brackets:
                self.chains[-1] = 0
        else:
            self._count()
        self._remember(symbol)
        self.at += len(symbol)

    def _count(self) -> None:
        """One more operator on the way to the innermost operand: what the parser's recursion can amount to."""
        self.chains[-1] += 1
        if sum(self.chains) > limits.OPERATORS_IN_EXPRESSION_MAX:
            message = f"more than {limits.OPERATORS_IN_EXPRESSION_MAX} operators in one expression; split it"
            self._stop("too_deep", message)
