"""The simulator has teeth: bugs that were found once are found again by the same seeds, and leave no trace behind."""

import pytest

from consensus.slot import Votes
from scripts.mutants import CATALOGUE, Edit, Mutant, StaleEdit, applied, table
from scripts.mutants.hunt import Found, hunt, objection
from scripts.mutants.mutant import function_at

SEEDS = table.recorded_seeds()
SAMPLE = CATALOGUE[::2]
LIKELY_SEEDS_MAX = 40  # its own, and where a change of the protocol moved what happens in that run, its neighbours'
A_VOTE_TWICE = ("consensus.slot:Votes.add", "if member in self._by_member:")


def counted_twice():
    votes = Votes()
    votes.add(1, b"digest", b"signature", 1)
    votes.add(1, b"digest", b"signature", 1)
    return votes.power(b"digest")


@pytest.mark.parametrize("mutant", CATALOGUE, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code_as_it_is_and_is_undone(mutant):
    before = codes(mutant)
    with applied(mutant):
        assert all(now is not then for now, then in zip(codes(mutant), before, strict=True))
    assert codes(mutant) == before


def test_no_two_mutants_are_the_same():
    assert len({mutant.name for mutant in CATALOGUE}) == len(CATALOGUE)
    assert len({mutant.edits for mutant in CATALOGUE}) == len(CATALOGUE)


def test_every_mutant_was_found():
    assert sorted(SEEDS) == sorted(mutant.name for mutant in CATALOGUE)


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda mutant: mutant.name)
def test_the_seed_of_the_table_finds_its_mutant_or_another_of_the_table_does(mutant):
    found = hunt(mutant, table.likely_seeds(mutant)[:LIKELY_SEEDS_MAX])
    assert found.seed is not None, "the runs have changed: python -m scripts.mutants --write-table"


def test_the_honest_code_passes_seeds_that_find_mutants():
    for seed in sorted({SEEDS[mutant.name] for mutant in SAMPLE})[:10]:
        assert objection(seed) is None


# ── the tool itself ───────────────────────────────────────────────────────────────────────────────


def test_an_edit_changes_the_function_for_everybody_and_only_for_a_while():
    function, text = A_VOTE_TWICE
    assert counted_twice() == 1
    with applied(mutant_of(Edit(function, text, "if member < 0:"))):
        assert counted_twice() == 2
    assert counted_twice() == 1


def test_an_edit_is_undone_when_the_run_raises():
    function, text = A_VOTE_TWICE
    with pytest.raises(RuntimeError), applied(mutant_of(Edit(function, text, "if member < 0:"))):
        raise RuntimeError
    assert counted_twice() == 1


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Edit(A_VOTE_TWICE[0], "if nobody wrote this:", "if True:"), "0 times, expected once"),
        (Edit(A_VOTE_TWICE[0], "member", "_"), "times, expected once"),
        (Edit(A_VOTE_TWICE[0], "self.voted_power += power", "if if:"), "is no Python any more"),
        (Edit("consensus.slot:Votes.subtract", "a", "b"), "there is no function"),
        (Edit("consensus.slot:Counter.add", "a", "b"), "there is no function"),
    ],
    ids=["text that is gone", "text that is there twice", "no Python", "no method", "no class"],
)
def test_an_edit_that_does_not_fit_any_more_says_so_and_changes_nothing(edit, said):
    fitting = Edit(*A_VOTE_TWICE, "if member < 0:")
    with pytest.raises(StaleEdit, match=said), applied(mutant_of(fitting, edit)):
        pass
    assert counted_twice() == 1


def test_the_table_is_read_as_it_was_written(tmp_path, monkeypatch):
    page = tmp_path / "mutants.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    monkeypatch.setattr(table, "PAGE", page)
    first, second, third = CATALOGUE[:3]
    table.write(
        [
            Found(second.name, 7, "height 1: a | b <c>\n", 0.1),
            Found(first.name, 3, "x" * 1000, 0.1),
            Found(third.name, None, "", 99.0),
        ]
    )
    assert table.recorded_seeds() == {first.name: 3, second.name: 7}
    table.write([Found(second.name, 8, "height 2", 0.1)])
    assert table.recorded_seeds() == {first.name: 3, second.name: 8}
    assert table.likely_seeds(second) == [8, 3]
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "**survives**" in text
    assert max(map(len, text.splitlines())) < 500


def codes(mutant):
    return [function_at(edit.function).__code__ for edit in mutant.edits]


def mutant_of(*edits):
    return Mutant("test", "A", "none", "nothing", edits)
