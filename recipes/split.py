"""Prompts set aside for a last look, before anything is trained or chosen.

    python recipes/split.py DATA --share 0.15 --salt test --learn learn.jsonl --aside aside.jsonl

Records stay as they are. A prompt's side depends on its text alone, so all its records are on one side.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from coterie.examples import held_out
from coterie.examples.reading import example_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--share", type=float, default=0.15)
    parser.add_argument("--salt", default="test")
    parser.add_argument("--learn", type=Path, required=True)
    parser.add_argument("--aside", type=Path, required=True)
    given = parser.parse_args()
    opened = gzip.open if given.data.suffix == ".gz" else open
    sides = {given.learn: 0, given.aside: 0}
    with (
        opened(given.data, "rt", encoding="utf-8") as lines,
        given.learn.open("w") as learn,
        given.aside.open("w") as aside,
    ):
        for line in lines:
            kept, _ = held_out([example_of(json.loads(line))], given.share, salt=given.salt)
            (learn if kept else aside).write(line)
            sides[given.learn if kept else given.aside] += 1
    for place, number in sides.items():
        print(f"{number:6d} {place}")


if __name__ == "__main__":
    main()
