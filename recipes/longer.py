"""A BERT-like encoder that tells more places apart: its position embeddings laid end to end.

    python recipes/longer.py FOLDER --positions 1024 --out FOLDER

The first places stay as they were, so that short texts are read as before; what the others mean is learned
in the training that follows.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--positions", type=int, default=1024)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    shutil.copytree(given.encoder, given.out, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", ".*"))
    state = load_file(given.encoder / "model.safetensors")
    for name, weights in state.items():
        if name.endswith("position_embeddings.weight"):
            times = -(-given.positions // len(weights))
            state[name] = weights.repeat(times, 1)[: given.positions].clone()
    state = {name: weights for name, weights in state.items() if not name.endswith("position_ids")}
    save_file(state, given.out / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((given.encoder / "config.json").read_text(encoding="utf-8"))
    config["max_position_embeddings"] = given.positions
    (given.out / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
