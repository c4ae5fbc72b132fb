"""What lies in DVC's cache, and who needs it: the files here, an earlier commit, or nobody."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from ftexp.ground import paths
from ftexp.ground.errors import UserError, one_line
from ftexp.state.dvc_files import is_in_git

CACHE_DIR = Path(".dvc/cache/files/md5")
_DIGITS = 10
# What names outputs: DVC's locks, and what a person gave it by `dvc add`.
_NAMING_FILES = (str(paths.ROOT_DVC_LOCK), "runs/*/dvc.lock", "*.dvc", "data/**/*.dvc")


@dataclass(frozen=True)
class Unneeded:
    """Objects of the cache that the files here do not need.

    Attributes:
        of_commits: What only earlier commits need: (output, commit) with its bytes that nothing else needs, newest first.
        of_nobody_bytes: Bytes of what no commit and no file here names, or git holds as well, in `of_nobody` objects.
    """

    of_commits: dict[tuple[str, str], int]
    of_nobody: int
    of_nobody_bytes: int


def unneeded() -> Unneeded:
    """Sort what is in the cache by who needs it.

    Raises:
        UserError: If git cannot tell the history.
    """
    sizes = {_digest(path): path.stat().st_size for path in CACHE_DIR.glob("??/*")}
    locks = [path for pattern in _NAMING_FILES for path in Path().glob(pattern) if path.is_file()]
    here = {each for path in locks for _, digest in _outputs(path.read_text(encoding="utf-8")) for each in _with_files(digest)}
    left = set(sizes) - here
    of_commits: dict[tuple[str, str], int] = defaultdict(int)
    for commit, text in _committed_locks():
        for name, digest in _outputs(text):
            for each in set(_with_files(digest)) & left:
                of_commits[name, commit] += sizes[each]
                left.remove(each)
    return Unneeded(dict(of_commits), len(left), sum(sizes[each] for each in left))


def _digest(path: Path) -> str:
    return path.parent.name + path.name


def _outputs(lock: str) -> list[tuple[str, str]]:
    """Path and MD5 of every output in the text of a dvc.lock, or of a file of `dvc add`, that DVC alone holds."""
    try:
        document = yaml.load(lock, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
        outs = [out for stage in [document, *document.get("stages", {}).values()] for out in stage.get("outs", [])]
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        what = f"one here, or in git's history, cannot be read ({one_line(str(error))}), so what DVC needs is not known"
        raise UserError(f"dvc.lock: {what}. Mend it; nothing was deleted.") from error
    return [(out["path"], out["md5"]) for out in outs if "md5" in out and not is_in_git(out["path"])]


def _with_files(digest: str) -> Iterable[str]:
    """An object, and those that it lists if it is a folder."""
    yield digest
    listing = CACHE_DIR / digest[:2] / digest[2:]
    if digest.endswith(".dir") and listing.is_file():
        yield from (entry["md5"] for entry in json.loads(listing.read_text(encoding="utf-8")))


def _committed_locks() -> list[tuple[str, str]]:
    """Commit (hash, day and subject) and text of every version of every dvc.lock in git, newest first."""
    pathspecs = list(_NAMING_FILES)
    log = _git(["log", "--all", "--raw", "--no-abbrev", "--no-renames", "--format=%x00%H %cs %s", "--", *pathspecs])
    found = []
    for entry in log.split("\0")[1:]:
        commit, *changes = entry.splitlines()
        shown = commit[:_DIGITS] + commit[commit.index(" ") :]
        found += [(shown, change.split()[3]) for change in changes if change.startswith(":") and set(change.split()[3]) != {"0"}]
    texts = _blobs([blob for _, blob in found])
    return [(commit, texts[blob]) for commit, blob in found]


def _blobs(names: list[str]) -> dict[str, str]:
    """The texts of git's objects, by one process."""
    if not names:
        return {}
    command = ["git", "cat-file", "--batch"]
    raw = subprocess.run(command, input="\n".join(names).encode(), capture_output=True, check=True).stdout
    texts, at = {}, 0
    for name in names:
        end = raw.index(b"\n", at)
        size = int(raw[at:end].split()[2])
        texts[name] = raw[end + 1 : end + 1 + size].decode("utf-8")
        at = end + 2 + size
    return texts


def _git(arguments: list[str]) -> str:
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if result.returncode != 0 and "does not have any commits" not in result.stderr:
        raise UserError(f"git {arguments[0]}: {result.stderr.strip()}")
    return result.stdout
