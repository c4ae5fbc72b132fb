"""Brings the scripts of a newer template into this experiment, after saying what changes and what becomes stale.

Reads TEMPLATE (a folder, gh:owner/name, a git URL), DRY, YES and FORCE in the environment, and the whole experiment.
Writes scripts/, Makefile, job.slurm.template, requirements.txt, .gitignore, .dvcignore, template.json; upgrade-kept/.
Command: make upgrade TEMPLATE=gh:lab/ftexp [DRY=1] [YES=1] [FORCE=1] (python scripts/upgrade.py)
         An experiment that has no such script yet: .venv/bin/python TEMPLATE/scripts/upgrade.py, in its folder.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from ftexp.ground import paths
from ftexp.ground.errors import UserError, run_command
from ftexp.ground.events import record_event
from ftexp.ground.options import confirm, read_options
from ftexp.life.template_files import is_template
from ftexp.life.upgrade_preview import preview, require_idle, states_here
from ftexp.life.upgrading import (
    KEPT_DIR,
    Upgrade,
    apply,
    changes_in_words,
    compare,
    packages_in_words,
    record,
    restore_interrupted,
    versions_in_words,
)
from ftexp.state.run_lock import only_one_make

MOST_LINES = 60
OWN_TEMPLATE = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    """Find the template, and let its own scripts upgrade: they know what they bring."""
    paths.require_experiment()
    named = os.environ.get("TEMPLATE", "") or (str(OWN_TEMPLATE) if is_template(OWN_TEMPLATE) else "")
    if not named:
        raise UserError("TEMPLATE: is missing. For example: make upgrade TEMPLATE=gh:lab/ftexp, or a folder.")
    folder = Path(named).expanduser()
    if folder.is_dir() and folder.resolve() == OWN_TEMPLATE and is_template(OWN_TEMPLATE):
        return upgrade(OWN_TEMPLATE)
    with tempfile.TemporaryDirectory(prefix="ftexp-template-") as scratch:
        template = folder.resolve() if folder.is_dir() else clone(named, Path(scratch) / "template")
        if not is_template(template) or not (template / "scripts" / "upgrade.py").is_file():
            raise UserError(f"TEMPLATE: must be a template of ftexp's that can upgrade, got {named}.")
        environment = {**os.environ, "TEMPLATE": str(template)}
        return subprocess.call([sys.executable, str(template / "scripts" / "upgrade.py")], env=environment)


def clone(named: str, folder: Path) -> Path:
    """The newest commit of a repository on the internet, or anywhere that git reaches."""
    url = re.sub(r"^gh:", "https://github.com/", named)
    command = ["git", "clone", "--quiet", "--depth", "1", "--", url, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"})
    if result.returncode != 0:
        said = (result.stderr.strip().splitlines() or ["git said nothing"])[-1]
        raise UserError(f"TEMPLATE: is no folder here, and git cannot clone {url}: {said}. Give a folder, or try with a network.")
    return folder


def upgrade(template: Path) -> int:
    """Show, ask, exchange."""
    options = read_options()
    restore_interrupted()
    change = compare(template)
    if not change.new and not change.gone:
        if not options.is_dry:
            record(template)
        print(f"upgrade: nothing to do: these are the files of {versions_in_words(change).split(' -> ')[1]}")
        return 0
    before = states_here()
    print(versions_in_words(change))
    _list("files", changes_in_words(change))
    _list("packages", packages_in_words(change))
    _list("changed here, and not by the template; kept as they are", change.kept)
    require_idle(before)
    stale = preview(template, before, change.new.get(str(paths.JOB_TEMPLATE)))
    _list("not done any more after the upgrade", stale or ["nothing: what is done stays done"])
    _say_what_is_kept(change, is_forced=options.is_forced)
    if options.is_dry or not confirm("Upgrade?", options):
        return 0
    require_idle(states_here())  # someone may have begun while the question stood
    with only_one_make("stamp"):
        apply(change)
    record_event("upgrade", versions_in_words(change))
    lock = "requirements.txt" in change.new
    print(f"\nupgraded. Next: {'make setup, since the lock changed; then ' if lock else ''}make status")
    return 0


def _say_what_is_kept(change: Upgrade, *, is_forced: bool) -> None:
    """Name what a person changed; without FORCE nothing of it is touched.

    Raises:
        UserError: If a file was changed here and in the template, and this was not forced.
    """
    if not change.is_known:
        print("\ntemplate.json does not say what was stamped (an older template wrote it), so that an edit cannot be told "
              f"from what is old: what is replaced is kept in {KEPT_DIR}/.")
    if change.edited and not is_forced:
        raise UserError("\n".join(
            [f"{name}: was changed here, and by the template too." for name in change.edited]
            + [f"Nothing was upgraded. Take your changes back, or say FORCE=1: yours are then kept in {KEPT_DIR}/."]
        ))
    if change.edited:
        _list(f"changed here; the template's come, yours are kept in {KEPT_DIR}/", change.edited)


def _list(title: str, lines: list[str]) -> None:
    if lines:
        print(f"\n{title}:")
    for line in lines[:MOST_LINES]:
        print(f"  {line}")
    if len(lines) > MOST_LINES:
        print(f"  ... {len(lines) - MOST_LINES} more")


if __name__ == "__main__":
    run_command(main)
