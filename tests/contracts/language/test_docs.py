"""The page of the language says everything: what is not on it does not exist, so what exists must be on it."""

import re
from pathlib import Path

import pytest

from contracts import check, codes
from contracts.language import gas, limits, rules, state, unit
from contracts.language.expressions import CONTEXT_FIELDS
from contracts.language.methods import ARITY, METHODS

PAGE = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text()
CODE_SPANS = " ".join(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))


def row(name):
    found = re.search(rf"^\| `{re.escape(name)}` \| (.*) \|$", PAGE, re.MULTILINE)
    assert found, f"{name} has no row"
    return found[1]


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_every_method_of_every_type(kind):
    assert row(kind.__name__) == ", ".join(f"`{name}`" for name in sorted(METHODS[kind]))


def test_every_method_has_an_arity():
    assert set(ARITY) == {name for table in METHODS.values() for name in table}


@pytest.mark.parametrize("name", sorted(unit.FUNCTION_NAMES | unit.API_NAMES))
def test_every_function_and_every_import(name):
    assert re.search(rf"\b{name}\b", CODE_SPANS)


@pytest.mark.parametrize("kind", state._METHODS)
def test_every_method_of_state(kind):
    for name in state._METHODS[kind]:
        assert f".{name}(" in CODE_SPANS


@pytest.mark.parametrize("name", CONTEXT_FIELDS)
def test_every_field_of_the_context(name):
    assert f"self.ctx.{name}" in CODE_SPANS


@pytest.mark.parametrize("module", [gas, limits], ids=["gas", "limits"])
def test_every_number(module):
    for name in [name for name in vars(module) if name.isupper() and not name.startswith("_")]:
        value = row(name).split(" | ")[0].replace(",", "")
        assert eval(value) == getattr(module, name)


@pytest.mark.parametrize("reason", sorted(set(rules._REASONS.values())))
def test_every_refusal_and_its_reason(reason):
    what, _, why = reason.partition(": ")
    assert f"| {what} | {why} |" in PAGE


@pytest.mark.parametrize("name", sorted(unit._REFUSED_CALLS))
def test_every_function_that_is_not_there(name):
    assert row(f"{name}()") == unit._REFUSED_CALLS[name]


@pytest.mark.parametrize("module", ["values", "methods", "state", "calls", "unit", "iterables", "targets", "program"])
def test_every_code_that_the_interpreter_fails_with(module):
    text = (Path(rules.__file__).parent / f"{module}.py").read_text()
    for name in set(re.findall(r"codes\.([A-Z_]+)", text)):
        assert f"`{getattr(codes, name)}`" in PAGE


def test_the_example_on_the_page_is_accepted():
    (example,) = re.findall(r"```python\n(from contracts import .*?)```", PAGE, re.DOTALL)
    assert check(example) == []
