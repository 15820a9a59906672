"""`quorate new-contract`: a contract and its tests to begin with, which pass as they are."""

from __future__ import annotations

import keyword
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from network.cli.console import AsJson, UserError, examples, hint, say, say_json, short
from network.cli.names import check_name

NEW_CONTRACT_EXAMPLES = examples("quorate new-contract auction", "quorate new-contract sealed-auction --into house")
CONFTEST = "conftest.py"
TAKEN_MODULES = ("conftest", "tests")


def new_contract(
    name: Annotated[str, typer.Argument(help="The name under which the contract will be deployed.")],
    into: Annotated[Path, typer.Option("--into", help="Directory to write to; made where it is missing.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Begin a contract: a file that deploys, and tests that pass.

    Nothing that exists is overwritten.
    """
    module = name.replace("-", "_")
    class_name = _class_name(module)
    _require_name(name, module, class_name)
    made = _write(into, _files(name.replace("_", "-"), module, class_name))
    if as_json:
        say_json({"name": name.replace("_", "-"), "class": class_name, "files": [str(path) for path in made]})
        return
    say(f"Made {', '.join(short(path) for path in made)}.")
    say("Next:")
    for command, meaning in _next_steps(into, module):
        say(f"  {command:<66}  # {meaning}")
    if lacks := [tool for tool in ("pytest", "mypy") if find_spec(tool) is None]:
        hint(f"{' and '.join(lacks)} are not in this environment: make setup (in the checkout), or pip install them")


def _class_name(module: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in module.split("_"))


def _require_name(name: str, module: str, class_name: str) -> None:
    """A name that the chain takes, that Python can import, and that neither has taken. Raises `UserError`."""
    from contracts.system import RESERVED_NAMES

    check_name(name, "NAME", "a contract")
    if name in RESERVED_NAMES:
        raise UserError(f"{name!r} is the name of what every chain has already; try my-{name}")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or _is_installed(module):
        why = "a word of Python" if keyword.iskeyword(module) else "a module that Python finds already"
        raise UserError(f"{module!r} is {why}, the tests could not import the contract; try my-{name}")
    if module in TAKEN_MODULES or module.startswith("test_"):
        raise UserError(f"pytest would take {module}.py for its own; try my-{name}")
    from contracts import check

    if check(_contract(class_name)):
        raise UserError(f"the class would be called {class_name}, a name that the language has taken; try my-{name}")


def _is_installed(module: str) -> bool:
    """Whether this name imports something that is not just a file in the working directory."""
    spec = find_spec(module)
    return spec is not None and (spec.origin is None or Path(spec.origin).parent != Path.cwd())


def _contract(class_name: str) -> str:
    from network.cli.contract_template import contract_text

    return contract_text(class_name)


def _files(name: str, module: str, class_name: str) -> dict[str, str]:
    """Texts by path, those that must be new."""
    from network.cli.contract_template import tests_text

    return {f"{module}.py": _contract(class_name), f"tests/test_{module}.py": tests_text(name, module, class_name)}


def _write(into: Path, files: dict[str, str]) -> list[Path]:
    """Write all files, or none when one of them exists; beside them a conftest.py, unless there is one."""
    from network.cli.contract_template import CONFTEST as CONFTEST_TEXT

    if taken := [path for path in files if os.path.lexists(into / path)]:
        raise UserError(f"{short(into / taken[0])} exists already: nothing is overwritten")
    if not os.path.lexists(into / CONFTEST):
        files = {**files, CONFTEST: CONFTEST_TEXT}
    for path in files:
        (into / path).parent.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    try:
        for path, text in files.items():
            with (into / path).open("x", encoding="utf-8") as file:
                made.append(into / path)
                file.write(text)
    except BaseException:
        for file_made in made:
            file_made.unlink()
        raise
    return made


def _next_steps(into: Path, module: str) -> list[tuple[str, str]]:
    source, tests = short(into / f"{module}.py"), short(into / "tests" / f"test_{module}.py")
    return [
        (f"pytest {tests}", "Python itself runs it"),
        (f"pytest {tests} --contracts=both --gas-report", "a validator's interpreter as well"),
        (f"mypy --strict {source} {tests}", "its types"),
        (f"quorate check {source}", "would it deploy?"),
        (f"quorate deploy {source} 20 --key net/accounts/admin.pem", "after: quorate testnet net --start"),
    ]
