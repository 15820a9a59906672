"""A vote: a proposal passes when K of N members agree, and then does what it says.

The members and K are fixed when the contract is deployed. A member has one vote for each proposal and may change it
as long as the proposal is open. It passes with the K-th yes, fails with the no that makes K impossible, and lapses
when its deadline has passed: of these, what comes first is final. What a proposal does is one call to another
contract, in which this contract is the sender; it is made once, at the word of a member. Its code cannot be changed
by a vote, but by whoever deployed it.
"""

from contracts import Contract, Event, Map, Value, Var, call, init, require, view

MEMBERS_MAX = 100
PAGE_MAX = 100


class Proposed(Event):
    """Members may vote until the deadline, a block time in milliseconds."""

    proposal: int
    by: str
    title: str
    deadline: int


class Voted(Event):
    """A member said yes or no, perhaps not for the first time."""

    proposal: int
    member: str
    agree: bool


class Closed(Event):
    """A proposal was "accepted", "rejected" or "withdrawn"."""

    proposal: int
    outcome: str


class Executed(Event):
    """What was accepted has been done."""

    proposal: int
    by: str


class Voting(Contract):
    """Proposals by number, from 1 on, decided by K of N members."""

    members: Map[str, bool]
    size: Var[int]
    threshold: Var[int]
    last: Var[int]
    proposals: Map[int, dict[str, Value]]
    votes: Map[tuple[int, str], bool]

    @init
    def create(self, members: list[str], threshold: int) -> None:
        """Name the members by their addresses, and how many of them decide."""
        require(0 < len(members) <= MEMBERS_MAX, f"1 to {MEMBERS_MAX} members")
        require(0 < threshold <= len(members), f"a threshold of {threshold} for {len(members)} members")
        for member in members:
            require(member != "", "a member has an address")
            require(member not in self.members, "a member is named once")
            self.members[member] = True
        self.size.set(len(members))
        self.threshold.set(threshold)

    @call
    def propose(self, title: str, contract: str, method: str, arguments: list[Value], deadline: int) -> int:
        """Put a question to the members, and answer its number. For members. Where `contract` is "", nothing is done
        when it is accepted; the decision is the record."""
        self.as_member()
        require(0 < len(title) <= 200, "a title has 1 to 200 characters")
        require(deadline > self.ctx.time, "the deadline lies in the future")
        require(contract != self.ctx.contract, "a vote cannot call itself")
        require((contract == "") == (method == ""), "a contract and its method, or neither")
        require(contract != "" or len(arguments) == 0, "arguments for nothing")
        proposal = self.last.get(0) + 1
        self.last.set(proposal)
        self.proposals[proposal] = {
            "by": self.ctx.sender,
            "title": title,
            "contract": contract,
            "method": method,
            "arguments": arguments,
            "deadline": deadline,
            "status": "open",
            "yes": 0,
            "no": 0,
        }
        self.emit(Proposed(proposal=proposal, by=self.ctx.sender, title=title, deadline=deadline))
        return proposal

    @call
    def vote(self, proposal: int, agree: bool) -> str:
        """Vote, or change one's vote, and answer how the proposal stands. For members, until it is decided."""
        self.as_member()
        terms = self.open_proposal(proposal)
        before = self.votes.get((proposal, self.ctx.sender))
        require(before != agree, "voted so already")
        if before is not None:
            terms[tally(before)] -= 1
        terms[tally(agree)] += 1
        self.votes[proposal, self.ctx.sender] = agree
        self.emit(Voted(proposal=proposal, member=self.ctx.sender, agree=agree))
        if terms["yes"] >= self.threshold.get():
            self.close(proposal, terms, "accepted")
        elif self.size.get() - terms["no"] < self.threshold.get():
            self.close(proposal, terms, "rejected")
        else:
            self.proposals[proposal] = terms
        status: str = terms["status"]
        return status

    @call
    def withdraw(self, proposal: int) -> None:
        """Take back an open proposal. For the member who made it."""
        terms = self.open_proposal(proposal)
        require(self.ctx.sender == terms["by"], "only who proposed it withdraws it")
        self.close(proposal, terms, "withdrawn")

    @call
    def execute(self, proposal: int) -> Value:
        """Do what was accepted, and answer what it answered. For members, once; a failure leaves it to be done."""
        self.as_member()
        terms = self.known(proposal)
        require(terms["status"] == "accepted", "only what was accepted, and only once")
        require(terms["contract"] != "", "there is nothing to do")
        terms["status"] = "executed"
        self.proposals[proposal] = terms
        self.emit(Executed(proposal=proposal, by=self.ctx.sender))
        return self.call(terms["contract"], terms["method"], terms["arguments"])

    @view
    def proposal(self, number: int) -> dict[str, Value] | None:
        """A proposal with its tally and its status: open, accepted, rejected, withdrawn, executed, or lapsed when the
        deadline has passed without a decision. None where there is none."""
        terms = self.proposals.get(number)
        if terms is not None and terms["status"] == "open" and self.ctx.time > terms["deadline"]:
            terms["status"] = "lapsed"
        return terms

    @view
    def votes_of(self, number: int) -> dict[str, bool]:
        """Who has voted for a proposal, and how."""
        return {key[1]: agree for key, agree in self.votes.items(MEMBERS_MAX, prefix=(number,))}

    @view
    def listing(self, after: int, limit: int) -> list[tuple[int, dict[str, Value]]]:
        """Proposals as they are stored, from the one after `after` (0 for the first), at most 100."""
        require(0 < limit <= PAGE_MAX, f"1 to {PAGE_MAX} proposals at once")
        return self.proposals.items(limit, after=after)

    @view
    def rules(self) -> dict[str, Value]:
        """The members in the order of their addresses, and how many of them decide."""
        return {"members": self.members.keys(MEMBERS_MAX), "threshold": self.threshold.get()}

    def as_member(self) -> None:
        require(self.ctx.sender in self.members, "only for members")

    def known(self, proposal: int) -> dict[str, Value]:
        terms = self.proposals.get(proposal)
        require(terms is not None, "there is no such proposal")
        return terms

    def open_proposal(self, proposal: int) -> dict[str, Value]:
        terms = self.known(proposal)
        require(terms["status"] == "open", f"the proposal is {terms['status']}")
        require(self.ctx.time <= terms["deadline"], "the deadline has passed")
        return terms

    def close(self, proposal: int, terms: dict[str, Value], outcome: str) -> None:
        terms["status"] = outcome
        self.proposals[proposal] = terms
        self.emit(Closed(proposal=proposal, outcome=outcome))


def tally(agree: bool) -> str:
    return "yes" if agree else "no"
