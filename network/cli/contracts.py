"""`quorate check`, `deploy`, `upgrade`, `call` and `view`: contracts from the command line."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from network.cli.arguments import read_arguments
from network.cli.connection import DEFAULT_URL, GenesisFile, Url, connect
from network.cli.console import AsJson, UserError, examples, hint, say, say_fields, say_json
from network.cli.keyfiles import KeyFile, open_key
from network.cli.names import check_name, is_name, suggested
from network.cli.outcomes import UNDECIDED_ADVICE, outcome_json, outcome_rows, shown

if TYPE_CHECKING:
    from contracts import Problem
    from network.client import Client, Outcome

_FILE_BYTES_MAX: Final = 4 << 20  # read of a file; a contract has far fewer

CHECK_EXAMPLES = examples("quorate check contracts/examples/token.py")
DEPLOY_EXAMPLES = examples(
    "quorate deploy contracts/examples/token.py Acme ACM 1000000 --key net/accounts/admin.pem",
    "quorate deploy contracts/examples/registry.py --name notary --key admin.pem",
)
UPGRADE_EXAMPLES = examples(
    "quorate upgrade contracts/examples/token.py --key net/accounts/admin.pem",
    "quorate upgrade contracts/examples/registry.py --name notary --key admin.pem",
)
CALL_EXAMPLES = examples(
    "quorate call token transfer 3d40...0af1 100 --key ann.pem",
    "quorate call system set_account 3d40...0af1 bob '[\"writer\"]' --key admin.pem",
)
VIEW_EXAMPLES = examples("quorate view token balance_of 3d40...0af1", "quorate view token total_supply --json")

INT64_MAX = (1 << 63) - 1
Source = Annotated[Path, typer.Argument(help="The contract's source.")]
ContractName = Annotated[
    str | None, typer.Option("--name", help="The contract's name; without it the file's.", show_default=False)
]
Words = Annotated[
    list[str] | None, typer.Argument(help="Arguments, read as the types that the method declares.", show_default=False)
]


def check(
    file: Annotated[Path, typer.Argument(help="A contract's source.")],
    as_json: AsJson = False,
) -> None:
    """Check a contract's source without deploying it.

    Exit code 1 when it would be refused, with every reason.
    """
    from contracts import check as check_source

    problems = check_source(_read_text(file))
    if as_json:
        say_json({"file": str(file), "accepted": not problems, "problems": [_problem(each) for each in problems]})
    for problem in problems:
        if not as_json:
            say(f"{file}:{problem.line}:{problem.column}: {problem.code}: {problem.message}")
    if problems:
        raise typer.Exit(1)
    if not as_json:
        say(f"{file}: accepted")
        if not is_name(_name_of(file)):
            hint(f"the file's name is no name for a contract: deploy it with --name {suggested(_name_of(file))}")


def _init_parameters(file: Path, source: str) -> list[tuple[str, str]]:
    """(name, type) of the init method's parameters. Raises `UserError` for a source that a validator would refuse."""
    from contracts import SourceRefused, compile_source

    try:
        program = compile_source(source)
    except SourceRefused as refused:
        listed = "\n".join(f"  {file}:{problem.line}: {problem.message}" for problem in refused.problems)
        raise UserError(f"the contract would be refused, nothing was sent:\n{listed}") from None
    return next((list(method.parameters) for method in program.methods if method.kind == "init"), [])


def _problem(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "column": problem.column, "code": problem.code, "message": problem.message}


def _read_text(file: Path) -> str | bytes:
    """The source with unix line ends, or its bytes where they are no text: the checker says what is wrong with them."""
    data = _read_bytes(file)
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        return data


def _read_bytes(file: Path) -> bytes:
    """The file, or as much of it as says that it is no source. A pipe is read while somebody writes to it."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe does not wait for a writer
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise UserError(f"{file} is a directory: give a file with a contract's source")
        os.set_blocking(descriptor, True)
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            data = opened.read(_FILE_BYTES_MAX)
    finally:
        os.close(descriptor)
    if stat.S_ISFIFO(mode) and not data:
        raise UserError(f"{file} is a pipe that nobody writes to: give a file with a contract's source")
    return data


def _read_source(file: Path) -> str:
    text = _read_text(file)
    if isinstance(text, bytes):
        raise UserError(f"{file} is not UTF-8 text, nothing was sent; quorate check {file} says where")
    return text


def _name_of(file: Path) -> str:
    return file.stem.replace("_", "-")


def _chosen_name(file: Path, name: str | None) -> str:
    """The name to deploy under. Raises `UserError` for one that would be refused."""
    if name is not None:
        return check_name(name, "--name", "a contract")
    found = _name_of(file)
    if not is_name(found):
        raise UserError(f"{found!r} is no name for a contract: give one with --name, such as {suggested(found)!r}")
    return found


def deploy(
    file: Source,
    words: Words = None,
    name: ContractName = None,
    key: KeyFile = None,
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
    as_json: AsJson = False,
) -> None:
    """Check a contract and deploy it.

    The arguments go to its init method. Waits until the block is sealed.
    """
    chosen, source = _chosen_name(file, name), _read_source(file)
    parameters = _init_parameters(file, source)
    signer = open_key(key)
    arguments = read_arguments("init", parameters, words or [])
    with connect(url, genesis, signer) as client:
        _send(lambda: client.deploy(chosen, source, *arguments), as_json)


def upgrade(
    file: Source,
    name: ContractName = None,
    key: KeyFile = None,
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
    as_json: AsJson = False,
) -> None:
    """Check new code and give it to a deployed contract, which keeps its state.

    For whoever deployed it, and for admins. State that the new code would misread is refused; no init runs.
    """
    chosen, source = _chosen_name(file, name), _read_source(file)
    _init_parameters(file, source)
    with connect(url, genesis, open_key(key)) as client:
        _send(lambda: client.call("system", "upgrade", chosen, source), as_json)


def call(
    contract: Annotated[str, typer.Argument(help="A contract's name.")],
    method: Annotated[str, typer.Argument(help="One of its call methods.")],
    words: Words = None,
    key: KeyFile = None,
    gas_limit: Annotated[
        int | None, typer.Option(help="Most gas to use.", min=1, max=INT64_MAX, show_default=False)
    ] = None,
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
    as_json: AsJson = False,
) -> None:
    """Call a contract in a signed transaction.

    Waits until the block is sealed.
    Exit code 1 when the call failed; it changed nothing then. Behind a lone -- everything is an argument.
    """
    if key is None and "--key" in (words or []):
        raise UserError("--key stands behind the lone --, where everything is an argument: put it before")
    signer = open_key(key)
    with connect(url, genesis, signer) as client:
        arguments = read_arguments(method, _parameters(client, contract, method, "call"), words or [])
        _send(lambda: client.call(contract, method, *arguments, gas_limit=gas_limit), as_json)


def view(
    contract: Annotated[str, typer.Argument(help="A contract's name.")],
    method: Annotated[str, typer.Argument(help="One of its view methods.")],
    words: Words = None,
    url: Url = DEFAULT_URL,
    genesis: GenesisFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask a contract, on sealed state.

    Nothing is signed, and nothing changes.
    """
    from network.json_values import to_json

    with connect(url, genesis) as client:
        arguments = read_arguments(method, _parameters(client, contract, method, "view"), words or [])
        value = client.view(contract, method, *arguments)
    if as_json:
        say_json(to_json(value))
    else:
        say(value if isinstance(value, str) else value.hex() if isinstance(value, bytes) else shown(value))


def _parameters(client: Client, contract: str, method: str, kind: str) -> list[tuple[str, str]]:
    """(name, type) of a method's parameters, as the node knows the contract."""
    from network.client import Rejected

    try:
        found = client.get(f"/v1/contracts/{quote(contract, safe='')}")
    except Rejected as refused:
        if refused.code != "unknown_contract":
            raise
        raise UserError(f"no contract is named {contract[:80]!r}; quorate contracts lists those there are") from None
    methods = {each["name"]: each for each in found["methods"] if each["kind"] == kind}
    if method not in methods:
        raise UserError(f"{contract} has no {kind} {method!r}; it has: {', '.join(sorted(methods)) or 'none'}")
    return [(each["name"], each["type"]) for each in methods[method]["parameters"]]


def _send(send: Callable[[], Outcome], as_json: bool) -> None:
    """Send, wait, and show the outcome; exit code 1 unless it is ok."""
    from network.client import Outcome, TransactionFailed, Undecided

    try:
        outcome = send()
    except TransactionFailed as failed:
        outcome = failed.outcome
    except Undecided as undecided:
        if as_json:
            say_json(outcome_json(Outcome(undecided.transaction_id, "pending")))
        raise UserError(f"{undecided}. {UNDECIDED_ADVICE.format(id=undecided.transaction_id.hex())}") from None
    if as_json:
        say_json(outcome_json(outcome))
    else:
        say_fields(outcome_rows(outcome))
    if not outcome.ok:
        raise typer.Exit(1)
