"""One story, told twice: contract objects called from Python, and the same file on a chain of one, run both ways.

`world` is either. Names are accounts; a call that should fail goes through `refused`, which gives the message (or the
code, where it is another than "failed") and sees to it that nothing has changed.
"""

import pytest

from contracts import Error
from contracts.language import Failure
from contracts.testing import BLOCK_TIME_MS, GENESIS_TIME_MS, CallFailed, LocalChain
from ledger import codec

PEOPLE = ("ann", "ben", "cleo", "dora", "eve")


class Interpreted:
    """A `LocalChain` on which Python and the interpreter both run everything, and must agree."""

    def __init__(self):
        self.chain = LocalChain(*PEOPLE, mode="both")

    @property
    def height(self):
        return self.chain.height

    @property
    def time_ms(self):
        return self.chain.time_ms

    def address(self, name):
        return self.chain.address(name)

    def advance(self, heights=1, ms=0):
        self.chain.advance(heights, ms)

    def deploy(self, contract, name, *args, sender="admin"):
        self.chain.deploy(contract, name, *args, sender=sender)

    def refuses_deploy(self, contract, *args):
        return _said(self.chain.deploy(contract, "refused", *args, check=False))

    def call(self, sender, contract, method, *args):
        return self.chain.call(sender, contract, method, *args).result

    def refused(self, sender, contract, method, *args):
        outcome = self.chain.call(sender, contract, method, *args, check=False)
        assert outcome.events == ()
        return _said(outcome)

    def view(self, contract, method, *args):
        return self.chain.view(contract, method, *args)

    def refuses_view(self, contract, method, *args):
        with pytest.raises(CallFailed) as refused:
            self.chain.view(contract, method, *args)
        return refused.value.message if refused.value.code == "failed" else refused.value.code

    def events(self, contract):
        return [(event.name, event.fields) for event in self.chain.events_of(contract)]


def _said(outcome):
    assert not outcome.ok
    return outcome.message if outcome.code == "failed" else outcome.code


class Plain:
    """The classes themselves, run by Python; heights and time pass as they do on a `LocalChain`."""

    def __init__(self):
        self.height, self.time_ms, self.contracts = 0, GENESIS_TIME_MS, {}

    def address(self, name):
        return f"<{name}>"

    def advance(self, heights=1, ms=0):
        self.height += heights
        self.time_ms += ms + heights * BLOCK_TIME_MS

    def deploy(self, contract, name, *args, sender="admin"):
        made = contract()
        made.ctx.contract = name
        for other in self.contracts.values():
            other.ctx.connect(name, made)
        self.contracts[name] = made
        if hasattr(made, "create"):
            self.call(sender, name, "create", *args)

    def refuses_deploy(self, contract, *args):
        made = contract()
        return self._refusal(lambda: made.create(*args))

    def call(self, sender, contract, method, *args):
        self.advance()
        return self._run(sender, contract, method, args)

    def refused(self, sender, contract, method, *args):
        before = {name: (each.ctx.entries, each.ctx.events) for name, each in self.contracts.items()}
        said = self._refusal(lambda: self.call(sender, contract, method, *args))
        assert {name: (each.ctx.entries, each.ctx.events) for name, each in self.contracts.items()} == before
        return said

    def view(self, contract, method, *args):
        return self._run("admin", contract, method, args)

    def refuses_view(self, contract, method, *args):
        return self._refusal(lambda: self.view(contract, method, *args))

    def events(self, contract):
        return [(type(event).__name__, dict(vars(event))) for event in self.contracts[contract].ctx.events]

    def _run(self, sender, contract, method, args):
        made = self.contracts[contract]
        made.ctx.height, made.ctx.time, made.ctx.sender = self.height, self.time_ms, self.address(sender)
        return codec.decode(codec.encode(getattr(made, method)(*args)))

    def _refusal(self, act):
        with pytest.raises((Error, Failure)) as refused:
            act()
        return str(refused.value) if refused.type is Error else refused.value.code


WORLDS = {"plain": Plain, "chain": Interpreted}


@pytest.fixture(params=WORLDS)
def world(request):
    return WORLDS[request.param]()
