"""The pages of the examples are held to the examples: their command lines are run, their gas figures are compared.

A page's commands run in order on a chain of one, with words read as `quorate` reads them; other shell lines are given
to a shell. Behind a `#` stands what a command answers, or "refused: " and why.
"""

import ast
import os
import re
import shlex
import subprocess
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

from contracts import compile_source
from contracts.examples import NAMES, source
from contracts.testing import LocalChain
from ledger import codec
from network.cli.arguments import read_arguments
from network.cli.outcomes import shown

ROOT = Path(__file__).parents[3]
PEOPLE = ("ann", "ben", "cleo", "dora", "eve")
ROW = re.compile(r"^\| `(\w+)\(([^`)]*)\)` \| (.+) \| ([\d,]+) \|$", re.MULTILINE)
DEPLOYMENT = re.compile(r"^\| deployment (?:with `(\w+)\(([^`)]*)\)` )?\| (.+) \| ([\d,]+) \|$", re.MULTILINE)
GAS_TOLERANCE = 0.02


def page(name):
    return (ROOT / "docs" / "examples" / f"{name}.md").read_text()


class Walk:
    """Runs the commands of one page. `gas` is that of the last call of each method, by name."""

    def __init__(self, example):
        self.example = compile_source(source(example)).name
        self.chain = LocalChain(*PEOPLE)
        self.names = {name.upper(): self.chain.address(name) for name in PEOPLE}
        self.programs = {}
        self.gas = {}

    def run(self, line):
        if height := re.match(r"# when height (\d+) is past", line):
            self.chain.advance(int(height[1]) - self.chain.height)
        elif line.startswith("quorate "):
            command, _, expected = line.partition("  # ")
            self.command(shlex.split(self.filled(command))[1:], expected)
        else:
            name, _, text = line.partition("=")
            said = subprocess.run(
                ["bash", "-c", f"echo {text}"],
                env={**os.environ, **self.names},
                capture_output=True,
                check=True,
                cwd=ROOT,
            )
            self.names[name] = said.stdout.decode().strip()

    def filled(self, command):
        return re.sub(r"\$([A-Z_]+)", lambda found: self.names[found[1]], command)

    def command(self, words, expected):
        options = {}
        while words[-2].startswith("--"):
            options[words[-2]] = words[-1]
            words = words[:-2]
        verb, *words = words
        sender = Path(options.pop("--key", "admin.pem")).stem
        name = options.pop("--name", None)
        assert options == {}
        said = getattr(self, verb)(sender, name, *words)
        if expected:
            assert said == expected
        else:
            assert not said.startswith("refused: ")

    def deploy(self, sender, name, path, *words):
        text = (ROOT / path).read_text()
        program = compile_source(text)
        name = name or Path(path).stem.replace("_", "-")
        parameters = [parameter for each in program.methods if each.kind == "init" for parameter in each.parameters]
        outcome = self.chain.deploy(text, name, *read_arguments("init", parameters, words), sender=sender, check=False)
        self.programs[name] = program
        return self.told(outcome, name, "deployment")

    def call(self, sender, _, contract, method, *words):
        args = self.arguments(contract, "call", method, words)
        return self.told(self.chain.call(sender, contract, method, *args, check=False), contract, method)

    def view(self, _, __, contract, method, *words):
        args = self.arguments(contract, "view", method, words)
        answer = self.chain.engine.view(contract, method, codec.encode(args))
        assert answer.code == "ok", answer.message
        self.note(contract, method, answer.gas_used)
        return text_of(codec.decode(answer.value))

    def told(self, outcome, contract, method):
        if not outcome.ok:
            return f"refused: {outcome.message}"
        self.note(contract, method, outcome.gas_used)
        return text_of(outcome.result)

    def arguments(self, contract, kind, method, words):
        (found,) = [each for each in self.programs[contract].methods if (each.name, each.kind) == (method, kind)]
        return read_arguments(method, found.parameters, words)

    def note(self, contract, method, gas):
        if self.programs[contract].name == self.example:
            self.gas[method] = gas


def text_of(value):
    return value if isinstance(value, str) else shown(value)


@cache
def walked(name):
    """The walk through a page, to its end."""
    lines = re.findall(r"^    (.+)$", page(name).partition("## Step by step")[2], re.MULTILINE)
    assert lines
    walk = Walk(name)
    for line in lines:
        walk.run(line)
    return walk


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_a_page_answer_what_it_says(name):
    assert walked(name).gas


@pytest.mark.parametrize("name", NAMES)
def test_a_page_lists_every_method_as_it_is(name):
    methods = compile_source(source(name)).methods
    listed = [(row[0], row[1]) for row in ROW.findall(page(name))]
    assert listed == [
        (each.name, ", ".join(parameter for parameter, _ in each.parameters)) for each in methods if each.kind != "init"
    ]
    (deployment,) = DEPLOYMENT.findall(page(name))
    init = [
        (each.name, ", ".join(parameter for parameter, _ in each.parameters)) for each in methods if each.kind == "init"
    ]
    assert [deployment[:2]] == (init or [("", "")])


@pytest.mark.parametrize("name", NAMES)
def test_the_gas_of_a_page_is_what_its_commands_use(name):
    written = {row[0]: int(row[3].replace(",", "")) for row in ROW.findall(page(name))}
    written["deployment"] = int(DEPLOYMENT.findall(page(name))[0][3].replace(",", ""))
    measured = walked(name).gas
    assert set(written) == set(measured), "a method without a command, or the other way round"
    stale = {
        method: f"the page says {gas:,}, it is {round(measured[method], -2):,}"
        for method, gas in written.items()
        if abs(gas - measured[method]) > GAS_TOLERANCE * measured[method]
    }
    assert stale == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_the_example_does_not_protect_against(name):
    assert "\n## What it does not protect against\n\n- " in page(name)
    assert f"`contracts/examples/{name}.py`" in page(name)


def test_every_example_has_a_page_and_every_page_is_listed():
    folder = ROOT / "docs" / "examples"
    assert sorted(path.stem for path in folder.glob("*.md") if path.stem != "README") == sorted(NAMES)
    assert sorted(
        path.name[:-3] for path in files("contracts.examples").iterdir() if path.name.endswith(".py")
    ) == sorted([*NAMES, "__init__"])
    index = (folder / "README.md").read_text()
    assert re.findall(r"^\| \[(\w+)\]\(\1\.md\)", index, re.MULTILINE) == list(NAMES)
    for page_of_all in ("docs/contracts.md", "docs/README.md"):
        assert "examples/README.md" in (ROOT / page_of_all).read_text()


@pytest.mark.parametrize("name", ["voting", "supply_chain", "auction", "key_value", "exchange"])
def test_every_refusal_is_in_a_test(name):
    tests = (Path(__file__).parent / f"test_{name}.py").read_text()
    calls = [node for node in ast.walk(ast.parse(source(name))) if isinstance(node, ast.Call)]
    messages = [node.args[1] for node in calls if isinstance(node.func, ast.Name) and node.func.id == "require"]
    assert messages
    assert [ast.unparse(message) for message in messages if longest_text(message) not in tests] == []


def longest_text(message):
    """The message, or of an f-string the longest part that is always the same."""
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    return max([part.value for part in parts if isinstance(part, ast.Constant)], key=len)
