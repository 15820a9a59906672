"""The API's documentation is held to the API: no route, parameter value or problem code is missing from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from network.gateway import create_app
from network.gateway.problems import KINDS, RETRY_AFTER_S

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()


@pytest.fixture
async def paths(node):
    return (await create_app(node.validator, node.executor).api()).openapi()["paths"]


async def test_every_route_has_its_heading_and_no_heading_is_of_a_route_that_is_gone(paths):
    routes = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    headings = set(re.findall(r"^### ((?:GET|POST) \S+)$", PAGE, re.MULTILINE))
    assert headings == routes


def test_every_problem_code_has_its_row():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(code, str(kind.status), kind.title) for code, kind in KINDS.items()]


def test_every_json_example_is_json():
    examples = re.findall(
        r"^```json\n(.*?)^```", re.sub(r"^  ", "", PAGE, flags=re.MULTILINE), re.MULTILINE | re.DOTALL
    )
    assert len(examples) > 10
    for example in examples:
        json.loads(example)


def test_every_busy_problem_says_when_to_come_back():
    assert {code for code, kind in KINDS.items() if kind.status in (429, 503)} <= set(RETRY_AFTER_S)


async def test_openapi_is_served_and_knows_the_hot_route(gateway):
    page = (await gateway.get("/openapi.json")).json()
    assert set(page["paths"]["/v1/transactions"]) == {"post"}
    assert "Problem" in page["components"]["schemas"]
    for operations in page["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert "default" in operation["responses"]
            assert "422" not in operation["responses"]
    assert "cdn" not in json.dumps(page)
