"""How a failure looks from Python, and how Python's own exceptions look on chain: the one mapping, both ways.

A contract that Python runs raises what Python raises, so that a test reads as tests do; a receipt has stable codes.
This module knows exceptions and codes. It runs nothing.
"""

from __future__ import annotations

import functools
import opcode
from collections.abc import Callable
from types import TracebackType
from typing import Final, ParamSpec, TypeVar

from contracts import codes
from contracts.language import limits
from contracts.language.interface import Failure
from contracts.language.values import type_name

P = ParamSpec("P")
T = TypeVar("T")

_RAISE: Final = opcode.opmap["RAISE_VARARGS"]


class Error(Exception):
    """A contract says no. On chain the transaction fails with the code "failed" and this message."""

    def __init__(self, *said: object) -> None:
        if said and type(said[0]) is not str:
            raise WrongType(codes.BAD_TYPE, f"the message must be str, not {type_name(said[0])}")
        super().__init__(*said)


# ── from the chain to Python ──────────────────────────────────────────────────────────────────────


class _Shown(Failure):
    """A failure that is an exception of Python's as well, and reads like one."""

    def __str__(self) -> str:
        return self.message


class NoSuchKey(_Shown, KeyError):
    """key_error."""


class NoSuchIndex(_Shown, IndexError):
    """index_error."""


class WrongType(_Shown, TypeError):
    """bad_type and bad_arguments."""


class WrongValue(_Shown, ValueError):
    """bad_value."""


class WrongNumber(_Shown, ArithmeticError):
    """arithmetic."""


class Refused(_Shown, Error):
    """Everything that the runtime refuses: a write by a view, re-entrancy, depth, size, an unknown contract."""


_PYTHONIC: Final[dict[str, type[_Shown]]] = {
    codes.KEY_ERROR: NoSuchKey,
    codes.INDEX_ERROR: NoSuchIndex,
    codes.BAD_TYPE: WrongType,
    codes.BAD_ARGUMENTS: WrongType,
    codes.BAD_VALUE: WrongValue,
    codes.ARITHMETIC: WrongNumber,
}


def as_exception(failure: Failure) -> Failure:
    """The failure as the exception that a Python programmer expects."""
    if isinstance(failure, _Shown):
        return failure
    kind = _PYTHONIC.get(failure.code, Refused)
    return kind(failure.code, failure.message, failure.line, failure.contract)


def pythonic(function: Callable[P, T]) -> Callable[P, T]:
    """The function, with its failures as Python's exceptions."""

    @functools.wraps(function)
    def said(*args: P.args, **keywords: P.kwargs) -> T:
        try:
            return function(*args, **keywords)
        except Failure as failure:
            raise as_exception(failure) from None

    return said


# ── from Python to the chain ──────────────────────────────────────────────────────────────────────

_CODES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (KeyError, codes.KEY_ERROR),
    (IndexError, codes.INDEX_ERROR),
    (ArithmeticError, codes.ARITHMETIC),
    (NameError, codes.UNASSIGNED),
    (TypeError, codes.BAD_TYPE),
    (AttributeError, codes.BAD_TYPE),
    (ValueError, codes.BAD_VALUE),
    (RuntimeError, codes.BAD_VALUE),  # a dict that changed while it was iterated over
)


def as_failure(error: Exception, file: str) -> Failure | None:
    """What a receipt says of an exception out of the contract in `file`; None for what no contract can raise."""
    line = line_in(error.__traceback__, file)
    if isinstance(error, Failure):
        return Failure(error.code, error.message, error.line or line, error.contract)
    text = str(error)
    if isinstance(error, Error) or (isinstance(error, ValueError) and _is_raised_by(error.__traceback__, file)):
        return Failure(codes.FAILED, text[: limits.MESSAGE_CHARACTERS_MAX], line)
    if text == "negative shift count":
        return Failure(codes.ARITHMETIC, text, line)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
    return None if code is None else Failure(code, text, line)


def line_in(traceback: TracebackType | None, file: str) -> int:
    """The innermost line of `file` that a traceback passed, 0 where there is none."""
    line = 0
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == file:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _is_raised_by(traceback: TracebackType | None, file: str) -> bool:
    """Whether a `raise` of the contract made the exception: ValueError is also what int("x") raises."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None or traceback.tb_frame.f_code.co_filename != file:
        return False
    return traceback.tb_frame.f_code.co_code[traceback.tb_lasti] == _RAISE
