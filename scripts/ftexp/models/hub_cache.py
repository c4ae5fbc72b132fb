"""A model as the hub's cache keeps it: `models--<org>--<name>`, in which `snapshots/<commit>` is the model's folder."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_snapshots(folder: Path) -> list[Path]:
    """The models in a repository's folder of the hub's cache, the one that `refs/main` names first; none in any other folder."""
    if not os.path.isdir(folder / "snapshots"):
        return []
    snapshots = sorted(path.parent for path in folder.glob("snapshots/*/config.json"))
    main = folder / "refs" / "main"
    current = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
    return sorted(snapshots, key=lambda path: path.name != current)


def in_words(snapshots: Sequence[Path]) -> str:
    """What to give in place of the repository's folder."""
    first = snapshots[0]
    others = f" (or another of {len(snapshots)})" if len(snapshots) > 1 else ""
    name = first.parents[1].name.rpartition("--")[2]
    return (
        f"is a repository in the hub's cache, which keeps the model in {first}{others}. Give that folder, or a link that names "
        f"it: `ln -s {first} <folder of models>/{name}`."
    )
