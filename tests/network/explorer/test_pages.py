"""The explorer as it is served: from memory, under a strict policy, with nothing from elsewhere."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from network.gateway.pages import API, VIEWS
from network.gateway.probes import PATHS

SCRIPTS = {
    item.name: item.read_text() for item in files("network.explorer").iterdir() if item.name.endswith((".js", ".mjs"))
}
INDEX = files("network.explorer").joinpath("index.html").read_text()
STYLE = files("network.explorer").joinpath("explorer.css").read_text()


@pytest.mark.parametrize("path", ["/", *(f"/{view}" for view in VIEWS), "/block/7", "/tx/ab", "/contract/x%2Fy?line=3"])
async def test_every_page_can_be_linked_to(gateway, path):
    answer = await gateway.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == INDEX


async def test_the_policy_allows_our_own_files_and_nothing_else(gateway):
    answer = await gateway.get("/")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_everything_that_the_page_names_is_served(gateway):
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', INDEX)
    names += [f"/static/{name}" for text in SCRIPTS.values() for name in re.findall(r'from "\./([\w.]+)"', text)]
    assert "/static/main.js" in names
    assert {f"/static/{name}" for name in SCRIPTS} <= set(names)
    for name in set(names):
        answer = await gateway.get(name)
        assert answer.status_code == 200
        assert answer.headers["content-type"].split(";")[0] in ("text/javascript", "text/css", "image/svg+xml")


async def test_a_reader_that_has_a_file_gets_it_no_second_time(gateway):
    first = await gateway.get("/static/main.js")
    again = await gateway.get("/static/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("content-security-policy", "cache-control", "etag"):  # a reader replaces what it kept by these
        assert again.headers[name] == first.headers[name]
    head = await gateway.http.head("/static/main.js")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/nothing.js",
        "/static/../app.py",
        "/static/__init__.py",
        "/static/index.html",
        "/favicon.ico",
    ],
)
async def test_nothing_else_is_served(gateway, path):
    answer = await gateway.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/nothing", "/blokcs/7", "/static/nothing.js", "/constructor", "/%zz", "/v2/blocks"])
async def test_a_browser_that_asks_for_nothing_gets_a_page_that_leads_back(gateway, path):
    answer = await gateway.get(path, headers=BROWSER)
    assert (answer.status_code, answer.text) == (404, INDEX)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-store", "accept")
    assert "etag" not in answer.headers
    for accepted in ("*/*", "application/json"):
        program = await gateway.get(path, headers={"accept": accepted})
        assert (program.status_code, program.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(("path", "code"), [("/v1/nothing", "not_found"), ("/v1/blocks/77", "unknown_block")])
async def test_the_api_answers_a_browser_as_it_answers_everybody(gateway, path, code):
    answer = await gateway.get(path, headers=BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (404, code)


async def test_every_route_of_the_api_is_kept_from_the_page_that_says_there_is_nothing(gateway):
    routes = [*(await gateway.get("/openapi.json")).json()["paths"], "/openapi.json", *PATHS]
    assert {route.split("/")[1] for route in routes} == set(API)
    for path in ("/openapi.json", "/metrics", *PATHS):
        assert (await gateway.get(path, headers=BROWSER)).headers["content-type"] != "text/html; charset=utf-8"


async def test_pages_are_read_only(gateway):
    assert (await gateway.http.post("/")).status_code in (404, 405)


def test_nothing_comes_from_elsewhere():
    for text in (INDEX, STYLE, *SCRIPTS.values()):
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set()
        assert "@import" not in text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", INDEX)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_no_text_of_a_stranger_becomes_markup_or_code(name):
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|javascript:"
    assert re.findall(forbidden, SCRIPTS[name]) == []


def test_the_pages_of_the_script_and_of_the_server_are_the_same():
    routes = re.search(r"const ROUTES = \{(.*?)\n\};", SCRIPTS["main.js"], re.DOTALL)[1]
    names = set(re.findall(r"^  (\w+|\"\"):", routes, re.MULTILINE)) - {'""'}
    assert names == set(VIEWS)


class TestWithout:
    @pytest.fixture
    def settings(self, settings):
        return type(settings)(explorer=False, status_poll_s=0.02)

    async def test_an_operator_may_leave_it_out(self, gateway):
        assert (await gateway.get("/")).status_code == 404
        assert (await gateway.get("/static/main.js")).status_code == 404
        assert (await gateway.get("/nothing", headers=BROWSER)).json()["code"] == "not_found"
        assert (await gateway.get("/v1/status")).status_code == 200
