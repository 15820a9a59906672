"""`python -m scripts.mutants`: does the simulator find each deliberate bug, and nothing in the honest code?

Prints a line for each mutant as it is done. The seed of the table is tried first, then those whose plans hold fitting
faults. Exit code 0 only if every one is found within the seeds, and the honest code passes all the seeds that found
them. Assembles and reports; the search is in `hunt`, the page in `table`.
"""

from __future__ import annotations

import argparse
import sys
from multiprocessing import Pool

from scripts.mutants import CATALOGUE, Mutant, table
from scripts.mutants.faults import fitting_first
from scripts.mutants.hunt import Found, hunt, objection


def main() -> int:
    """Hunt the chosen mutants, then try the honest code on the same seeds."""
    options = _options()
    chosen = _chosen(options.only)
    found: list[Found] = []
    with Pool(options.jobs, maxtasksperchild=1) as pool:
        work = pool.imap_unordered(_hunt, [(each, options) for each in chosen])
        for number, result in enumerate(work, 1):
            found.append(result)
            print(f"{number}/{len(chosen)} {_line(result)}", flush=True)
        seeds = sorted({each.seed for each in found if each.seed is not None})
        false_alarms = [alarm for alarm in pool.imap_unordered(_honest, seeds) if alarm]
    if options.write_table:
        table.write(found)
    return _verdict(found, seeds, false_alarms)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this mutant; may be repeated")
    parser.add_argument("--seeds", type=int, default=5000, help="how many seeds each mutant may survive, from 1 on")
    parser.add_argument("--fresh", action="store_true", help="try the seeds in order, whatever the table says")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--write-table", action="store_true", help="write the results into docs/mutants.md")
    return parser.parse_args()


def _chosen(names: list[str]) -> list[Mutant]:
    unknown = sorted(set(names) - {mutant.name for mutant in CATALOGUE})
    if unknown:
        sys.exit(f"no such mutant: {', '.join(unknown)}")
    return [mutant for mutant in CATALOGUE if not names or mutant.name in names]


def _seeds(mutant: Mutant, options: argparse.Namespace) -> list[int]:
    """In which order to try them."""
    seeds = range(1, options.seeds + 1)
    if options.fresh:
        return list(seeds)
    recorded = table.recorded_seeds().get(mutant.name)
    return list(dict.fromkeys([*([recorded] if recorded else []), *fitting_first(mutant.name, seeds)]))


def _hunt(task: tuple[Mutant, argparse.Namespace]) -> Found:
    mutant, options = task
    return hunt(mutant, _seeds(mutant, options))


def _honest(seed: int) -> str:
    """What is said against the honest code on this seed: nothing, it is to be hoped."""
    said = objection(seed)
    return f"seed {seed}: {said}" if said else ""


def _line(result: Found) -> str:
    where = "SURVIVES" if result.seed is None else f"seed {result.seed}"
    return f"{result.mutant} ({result.seconds:.1f} s): {where} {result.violation.partition(chr(10))[0][:160]}"


def _verdict(found: list[Found], seeds: list[int], false_alarms: list[str]) -> int:
    survivors = sorted(result.mutant for result in found if result.seed is None)
    for alarm in false_alarms:
        print(f"FALSE ALARM, the honest code fails too: {alarm}")
    for name in survivors:
        print(f"survives: {name}")
    passed = f"{len(seeds) - len(false_alarms)} of the {len(seeds)} seeds that found them"
    print(f"{len(found) - len(survivors)} of {len(found)} mutants found; the honest code passes {passed}")
    return int(bool(survivors or false_alarms))


if __name__ == "__main__":
    sys.exit(main())
