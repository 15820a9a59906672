"""What pytest gives authors of contracts: the fixture `new_chain`, what runs the contracts, and a table of gas.

    pytest                           Python itself runs the contracts: breakpoints, coverage, tracebacks
    pytest --contracts=interpreter   a validator's interpreter runs them
    pytest --contracts=both          both, and every difference is a failure
    pytest --gas-report              a table of gas at the end (with the interpreter, unless it is both)

pytest loads this by itself where Quorate is installed, so it imports next to nothing before a test asks for a chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from contracts.testing import LocalChain, NewChain
    from contracts.testing.chain import Mode

MODES: Final = ("python", "interpreter", "both")

_mode_key: pytest.StashKey[Mode] = pytest.StashKey()
_chains_key: pytest.StashKey[list[LocalChain]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("quorate", "contracts of Quorate")
    group.addoption(
        "--contracts",
        choices=MODES,
        default=None,
        help="What runs the contracts of `new_chain`: Python itself (the default), a validator's interpreter, or both "
        "with every difference a failure.",
    )
    group.addoption(
        "--gas-report", action="store_true", help="End with a table of gas by method (with the interpreter)."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Decide what runs the contracts."""
    wanted, has_report = config.getoption("--contracts"), config.getoption("--gas-report")
    if has_report and wanted == "python":
        raise pytest.UsageError("--gas-report needs --contracts=interpreter or both: plain Python has no gas")
    config.stash[_mode_key] = wanted or ("interpreter" if has_report else "python")
    config.stash[_chains_key] = []


@pytest.fixture
def new_chain(request: pytest.FixtureRequest) -> NewChain:
    """Makes local chains: `new_chain("alice", "bob")`."""
    from contracts.testing import LocalChain

    config = request.config

    def make(*members: str, mode: Mode | None = None, **options: Any) -> LocalChain:
        chosen = config.stash[_mode_key] if mode is None else mode
        chain = LocalChain(*members, mode=chosen, **options)
        if config.getoption("--gas-report"):
            config.stash[_chains_key].append(chain)
        return chain

    return make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of gas."""
    if not config.getoption("--gas-report"):
        return
    from contracts.testing import GasReport

    report = GasReport.together(chain.gas for chain in config.stash[_chains_key])
    terminalreporter.section("gas of successful calls")
    terminalreporter.write_line(str(report) if report.methods else "no call of a contract has succeeded")
