"""Frees DVC's cache, after saying what goes: what no commit and no file here needs; with ALL=1 what earlier commits need, too.

Reads .dvc/cache, every dvc.lock here and in git's history; ALL, DRY and YES in the environment.
Writes nothing, and deletes in .dvc/cache.
Command: make gc [ALL=1] [DRY=1] [YES=1] (python scripts/collect_garbage.py, these in the environment)
"""

import subprocess
import sys
from pathlib import Path

from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.options import confirm, read_flag, read_options
from ftexp.state.garbage import CACHE_DIR, Unneeded, unneeded

MOST_LINES = 40


def main(arguments: list[str]) -> int:
    """Say, ask, and let `dvc gc` delete."""
    paths.require_experiment()
    options, is_all = read_options(), read_flag("ALL")
    dvc = str(Path(sys.executable).parent / "dvc")
    _require_own_cache(dvc)
    found = unneeded()
    _describe(found, is_all=is_all, will="would be deleted" if options.is_dry else "to be deleted")
    is_anything = found.of_nobody or (is_all and found.of_commits)
    if options.is_dry or not is_anything or not confirm("Delete this from .dvc/cache?", options):
        return 0
    keep = ["--workspace"] if is_all else ["--workspace", "--all-commits"]
    return subprocess.call([dvc, "gc", "--quiet", "--force", *keep])


def _require_own_cache(dvc: str) -> None:
    """A cache that several experiments share holds what this one cannot know of.

    Raises:
        UserError: If the cache is not this experiment's own.
    """
    said = subprocess.run([dvc, "cache", "dir"], capture_output=True, text=True, check=False)
    folder = Path(said.stdout.strip())
    if said.returncode != 0 or folder.resolve() != CACHE_DIR.parents[1].resolve():
        what = said.stderr.strip() or f"is {folder}, which others may share"
        raise UserError(f".dvc/config: cache.dir: {what}. Nothing is deleted; `dvc gc` by hand would delete what others need.")


def _describe(found: Unneeded, *, is_all: bool, will: str) -> None:
    print(f"what no commit and no file here needs, or git holds too: {found.of_nobody} objects, "
          f"{_megabytes(found.of_nobody_bytes)}: {will}")
    total = sum(found.of_commits.values())
    fate = f"{will}, for ALL=1" if is_all else "kept (ALL=1 deletes it, and so does `dvc gc --workspace` by hand)"
    print(f"what only earlier commits need: {len(found.of_commits)} outputs, {_megabytes(total)}: {fate}")
    for (name, commit), size in list(found.of_commits.items())[:MOST_LINES]:
        print(f"  {name}  {_megabytes(size)}  last in {commit}")
    if len(found.of_commits) > MOST_LINES:
        print(f"  ... {len(found.of_commits) - MOST_LINES} more")
    print("what the files here need stays, the runs that left the design among it. A remote is not touched: what was pushed "
          "there, `dvc pull` brings back in a checkout of its commit.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


if __name__ == "__main__":
    run_command(main)
