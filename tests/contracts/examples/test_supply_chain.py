"""The supply-chain example: custody passes when it is taken, and the past of an item stays readable."""

import hashlib

import pytest

from contracts.examples.supply_chain import SupplyChain

PAPER = hashlib.sha256(b"certificate").hexdigest()


@pytest.fixture
def goods(world):
    """ann is a maker and has made one valve; ben carries, cleo buys, eve is anybody."""
    world.deploy(SupplyChain, "goods")
    world.call("admin", "goods", "admit", world.address("ann"), True)
    world.call("ann", "goods", "register", "valve-1", "a valve")
    return world


def do(world, sender, method, *args, item="valve-1"):
    return world.call(sender, "goods", method, item, *args)


def refused(world, sender, method, *args, item="valve-1"):
    return world.refused(sender, "goods", method, item, *args)


def hand_over(world, sender, to, item="valve-1"):
    do(world, sender, "offer", world.address(to), item=item)
    do(world, to, "accept", item=item)


def item(world):
    return world.view("goods", "item", "valve-1")


def custodians(world, after=0, limit=100):
    return [each["custodian"] for each in world.view("goods", "history", "valve-1", after, limit)]


def held(world, name):
    return world.view("goods", "held_by", world.address(name), "", 100)


def test_a_new_item_is_with_its_maker(goods):
    ann = goods.address("ann")
    assert item(goods) == {
        "maker": ann,
        "description": "a valve",
        "custodian": ann,
        "offered_to": "",
        "recalled": "",
        "hands": 1,
    }
    entry = {"custodian": ann, "height": goods.height, "time": goods.time_ms}
    assert goods.view("goods", "history", "valve-1", 0, 10) == [entry]
    assert goods.events("goods")[-1] == ("Registered", {"item": "valve-1", "maker": ann})
    assert held(goods, "ann") == ["valve-1"]
    assert goods.view("goods", "item", "valve-2") is None


def test_only_makers_register_and_only_the_operator_admits_them(goods):
    ann, ben = goods.address("ann"), goods.address("ben")
    assert refused(goods, "ben", "register", "x", item="x") == "only makers register items"
    for name in ("ann", "ben"):
        assert goods.refused(name, "goods", "admit", ben, True) == "only the operator admits makers"
    assert goods.refused("admin", "goods", "admit", "", True) == "a maker has an address"
    assert goods.refused("admin", "goods", "admit", ann, True) == "it is so already"
    assert goods.refused("admin", "goods", "admit", ben, False) == "it is so already"
    assert (goods.view("goods", "is_maker", ann), goods.view("goods", "is_maker", ben)) == (True, False)


def test_the_operator_hands_over_and_may_no_more(goods):
    ben = goods.address("ben")
    for name in ("ann", "ben"):
        assert goods.refused(name, "goods", "set_operator", ben) == "only the operator hands over"
    goods.call("admin", "goods", "set_operator", ben)
    assert goods.events("goods")[-1] == ("OperatorChanged", {"old": goods.address("admin"), "new": ben})
    assert goods.refused("admin", "goods", "admit", ben, True) == "only the operator admits makers"
    goods.call("ben", "goods", "admit", ben, True)
    assert goods.view("goods", "is_maker", ben)
    goods.call("ben", "goods", "set_operator", "")
    assert goods.refused("ben", "goods", "set_operator", ben) == "only the operator hands over"


def test_a_maker_no_more_keeps_what_is_made_and_makes_nothing_new(goods):
    goods.call("admin", "goods", "admit", goods.address("ann"), False)
    assert goods.events("goods")[-1] == ("MakerAdmitted", {"maker": goods.address("ann"), "admitted": False})
    assert goods.view("goods", "is_maker", goods.address("ann")) is False
    assert refused(goods, "ann", "register", "x", item="valve-2") == "only makers register items"
    do(goods, "ann", "recall", "a crack")
    assert item(goods)["recalled"] == "a crack"


def test_an_item_is_registered_once(goods):
    goods.call("admin", "goods", "admit", goods.address("ben"), True)
    for name in ("ann", "ben"):
        assert refused(goods, name, "register", "mine") == "registered already"
    assert item(goods)["maker"] == goods.address("ann")


@pytest.mark.parametrize(
    ("name", "description", "why"),
    [
        ("", "x", "an item's name has 1 to 64 characters"),
        ("i" * 65, "x", "an item's name has 1 to 64 characters"),
        ("i", "", "a description has 1 to 256 characters"),
        ("i", "x" * 257, "a description has 1 to 256 characters"),
        ("i", 1, "bad_arguments"),
    ],
)
def test_items_out_of_shape_are_refused(goods, name, description, why):
    assert refused(goods, "ann", "register", description, item=name) == why


def test_the_longest_texts_fit(goods):
    longest = "x" * 256
    do(goods, "ann", "register", longest, item="i" * 64)
    do(goods, "ann", "attach", PAPER, longest, item="i" * 64)
    do(goods, "ann", "recall", longest, item="i" * 64)
    entry = goods.view("goods", "item", "i" * 64)
    assert (entry["description"], entry["recalled"]) == (longest, longest)
    assert goods.view("goods", "documents", "i" * 64, "", 1)[0][1]["name"] == longest


def test_custody_passes_when_it_is_taken_and_not_before(goods):
    ann, ben = goods.address("ann"), goods.address("ben")
    do(goods, "ann", "offer", ben)
    assert (item(goods)["custodian"], item(goods)["offered_to"]) == (ann, ben)
    assert goods.events("goods")[-1] == ("Offered", {"item": "valve-1", "custodian": ann, "to": ben})
    do(goods, "ben", "accept")
    assert (item(goods)["custodian"], item(goods)["offered_to"], item(goods)["hands"]) == (ben, "", 2)
    assert goods.events("goods")[-1] == ("HandedOver", {"item": "valve-1", "sender": ann, "to": ben})
    assert (held(goods, "ann"), held(goods, "ben")) == ([], ["valve-1"])


def test_nobody_takes_what_is_not_offered_to_them(goods):
    assert refused(goods, "ben", "accept") == "it is not offered to the sender"
    do(goods, "ann", "offer", goods.address("ben"))
    for name in ("eve", "ann", "admin"):
        assert refused(goods, name, "accept") == "it is not offered to the sender"
        assert refused(goods, name, "refuse") == "it is not offered to the sender"
    do(goods, "ben", "accept")
    assert refused(goods, "ben", "accept") == "it is not offered to the sender"


def test_only_the_custodian_offers(goods):
    hand_over(goods, "ann", "ben")
    for name in ("ann", "eve", "admin"):
        assert refused(goods, name, "offer", goods.address("eve")) == "only the custodian offers it"
        assert refused(goods, name, "withdraw") == "only the custodian offers it"
    hand_over(goods, "ben", "cleo")
    assert item(goods)["custodian"] == goods.address("cleo")


def test_custody_is_offered_to_somebody_else(goods):
    for to in ("", goods.address("ann")):
        assert refused(goods, "ann", "offer", to) == "custody is offered to somebody else"


def test_an_offer_that_was_refused_or_withdrawn_is_over(goods):
    do(goods, "ann", "offer", goods.address("ben"))
    do(goods, "ben", "refuse")
    assert refused(goods, "ben", "accept") == "it is not offered to the sender"
    do(goods, "ann", "offer", goods.address("ben"))
    do(goods, "ann", "withdraw")
    assert goods.events("goods")[-1][1]["to"] == ""
    assert refused(goods, "ben", "accept") == "it is not offered to the sender"
    assert refused(goods, "ann", "withdraw") == "it is not on offer"
    assert custodians(goods) == [goods.address("ann")]


def test_another_offer_replaces_the_first(goods):
    do(goods, "ann", "offer", goods.address("ben"))
    do(goods, "ann", "offer", goods.address("cleo"))
    assert refused(goods, "ben", "accept") == "it is not offered to the sender"
    do(goods, "cleo", "accept")
    assert item(goods)["custodian"] == goods.address("cleo")


def test_the_history_is_read_page_by_page(goods):
    for sender, to in [("ann", "ben"), ("ben", "cleo"), ("cleo", "ben"), ("ben", "ann")]:
        hand_over(goods, sender, to)
    way = [goods.address(name) for name in ("ann", "ben", "cleo", "ben", "ann")]
    assert custodians(goods) == way
    assert custodians(goods, 0, 2) + custodians(goods, 2, 2) + custodians(goods, 4, 2) == way
    assert goods.view("goods", "history", "valve-2", 0, 10) == []


def test_the_maker_recalls_wherever_it_is_and_gets_it_back(goods):
    hand_over(goods, "ann", "ben")
    do(goods, "ben", "offer", goods.address("cleo"))
    do(goods, "ann", "recall", "a crack")
    assert goods.events("goods")[-1] == ("Recalled", {"item": "valve-1", "reason": "a crack"})
    assert refused(goods, "cleo", "accept") == "it is not offered to the sender"
    assert refused(goods, "ben", "offer", goods.address("cleo")) == "a recalled item goes to its maker alone"
    assert item(goods)["custodian"] == goods.address("ben")
    hand_over(goods, "ben", "ann")
    assert (item(goods)["custodian"], item(goods)["recalled"]) == (goods.address("ann"), "a crack")
    assert refused(goods, "ann", "offer", goods.address("cleo")) == "a recalled item goes to its maker alone"


def test_only_the_maker_recalls_and_once(goods):
    hand_over(goods, "ann", "ben")
    for name in ("ben", "eve", "admin"):
        assert refused(goods, name, "recall", "a crack") == "only the maker recalls an item"
    for reason in ("", "x" * 257):
        assert refused(goods, "ann", "recall", reason) == "a reason has 1 to 256 characters"
    do(goods, "ann", "recall", "a crack")
    assert refused(goods, "ann", "recall", "another") == "recalled already"


def test_the_maker_and_the_custodian_attach_documents(goods):
    hand_over(goods, "ann", "ben")
    other = hashlib.sha256(b"photo").hexdigest()
    do(goods, "ann", "attach", PAPER, "certificate.pdf")
    expected = {"name": "certificate.pdf", "by": goods.address("ann"), "time": goods.time_ms}
    assert goods.events("goods")[-1] == ("Attached", {"item": "valve-1", "digest": PAPER, "by": goods.address("ann")})
    do(goods, "ben", "attach", other, "photo.jpg")
    papers = goods.view("goods", "documents", "valve-1", "", 10)
    assert [digest for digest, _ in papers] == sorted([PAPER, other])
    assert dict(papers)[PAPER] == expected
    first = goods.view("goods", "documents", "valve-1", "", 1)
    assert first + goods.view("goods", "documents", "valve-1", first[0][0], 1) == papers
    assert refused(goods, "ben", "attach", PAPER, "again.pdf") == "attached already"


@pytest.mark.parametrize("name", ["eve", "admin", "cleo"])
def test_nobody_else_attaches_documents(goods, name):
    hand_over(goods, "ann", "cleo")
    hand_over(goods, "cleo", "ben")
    assert refused(goods, name, "attach", PAPER, "x") == "only the maker or the custodian"


@pytest.mark.parametrize(
    ("digest", "name", "why"),
    [
        ("", "x", "a hash is 64 lower-case hex digits"),
        (PAPER.upper(), "x", "a hash is 64 lower-case hex digits"),
        (PAPER + "0", "x", "a hash is 64 lower-case hex digits"),
        ("g" + PAPER[1:], "x", "a hash is 64 lower-case hex digits"),
        (PAPER, "", "a name has 1 to 256 characters"),
        (PAPER, "x" * 257, "a name has 1 to 256 characters"),
    ],
)
def test_documents_out_of_shape_are_refused(goods, digest, name, why):
    assert refused(goods, "ann", "attach", digest, name) == why
    assert goods.view("goods", "documents", "valve-1", "", 10) == []


def test_what_a_party_has_is_listed_page_by_page(goods):
    for number in (3, 2, 10):
        do(goods, "ann", "register", "a valve", item=f"valve-{number}")
    hand_over(goods, "ann", "ben", item="valve-2")
    ann = goods.address("ann")
    assert goods.view("goods", "held_by", ann, "", 2) == ["valve-1", "valve-10"]
    assert goods.view("goods", "held_by", ann, "valve-10", 2) == ["valve-3"]
    assert held(goods, "ben") == ["valve-2"]
    assert held(goods, "eve") == []


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_listings_out_of_bounds_are_refused(goods, limit):
    for method, args in [("history", ["valve-1", 0]), ("documents", ["valve-1", ""]), ("held_by", ["x", ""])]:
        assert goods.refuses_view("goods", method, *args, limit) == "1 to 100 entries at once"


def test_there_is_no_item_but_those_that_were_registered(goods):
    calls = {"offer": ["x"], "withdraw": [], "accept": [], "refuse": [], "recall": ["x"], "attach": [PAPER, "x"]}
    for method, args in calls.items():
        assert refused(goods, "ann", method, *args, item="valve-9") == "there is no such item"
