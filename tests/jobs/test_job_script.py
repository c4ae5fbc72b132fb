"""The text of job scripts is as accepted, and a template that would not do what the site says is refused."""

import difflib
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ENVIRONMENT, REPOSITORY
from ftexp.ground.errors import UserError
from ftexp.jobs.job_script import check_template, job_script
from ftexp.jobs.site import Site
from ftexp.jobs.slurm.arrays import shape, task_ranges
from helpers.job_scripts import (
    CLUSTER,
    TEMPLATE,
    array_text,
    facts_of,
)

GOLDEN = REPOSITORY / "tests/jobs/golden"


def _texts(root: Path = Path("/home/ada/l'essai 1")) -> dict[str, str]:
    """The golden files."""
    local = Site(device="cpu", setup="ulimit -c 0")
    cluster = job_script(TEMPLATE, CLUSTER, facts_of(root))
    return {
        "finetune.local.slurm": job_script(TEMPLATE, local, replace(facts_of(root), processes=1)),
        "finetune.cluster.slurm": cluster, "array.slurm": array_text(shape(cluster), root),
    }


@pytest.mark.parametrize("name", sorted(_texts()))
def test_the_text_of_a_script_is_as_it_was_accepted(name: str, tmp_path: Path) -> None:
    text, accepted = _texts()[name], GOLDEN / name
    (tmp_path / name).write_text(text, encoding="utf-8")
    before = accepted.read_text(encoding="utf-8") if accepted.is_file() else ""
    changes = "".join(difflib.unified_diff(before.splitlines(True), text.splitlines(True), str(accepted), "now"))
    assert text == before, f"{changes}\nTo accept this: cp {shlex.quote(str(tmp_path / name))} {shlex.quote(str(accepted))}"


def test_there_is_no_golden_file_without_its_test() -> None:
    assert {path.name for path in GOLDEN.glob("*.slurm")} == set(_texts())


@pytest.mark.parametrize("root", ["/plain", "/a b/it's $(x) `y` \\ %j \"z\" and more"])
def test_bash_and_shellcheck_have_nothing_to_say(root: str, tmp_path: Path) -> None:
    names = []
    for name, text in _texts(Path(root)).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        names.append(str(tmp_path / name))
        assert subprocess.run(["bash", "-n", names[-1]], capture_output=True, text=True, check=False).stderr == ""
    # SC2016 asks whether a `$` in single quotes was meant: in the folder's name it was.
    command = [str(ENVIRONMENT / "bin/shellcheck"), "--severity=style", "--norc", "--exclude=SC2016", *names]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""


@pytest.mark.parametrize("name", ["a\n#SBATCH --account=other\nb", "a\ntouch owned\n"])
@pytest.mark.parametrize("site", [Site(), CLUSTER], ids=["local", "slurm"])
def test_a_folder_with_a_line_break_in_its_name_is_refused(name: str, site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has a line break or the like in its name. Rename it"):
        job_script(TEMPLATE, site, facts_of(tmp_path / name))


MISTAKES = [
    ("#SBATCH --reservation={{reservation}}", "names {{reservation}}, which nobody sets. "),
    ("export A={{devise}}", "names {{devise}}, which nobody sets. Did you mean 'device'? "),
    ("#SBATCH --qos={{qos}}", "names {{qos}}, and site.yaml leaves qos empty. Set it there, or take the line out."),
    ('echo "{{run}}"', "{{run}} stands in quotes, and is quoted when it is filled in. Take the quotes away."),
    ("echo 'of {{ run }}'", "{{ run }} stands in quotes, and is quoted when it is filled in. Take the quotes away."),
    ("x=`echo {{run}}`", "{{run}} stands in quotes, and is quoted when it is filled in. Take the quotes away."),
    ("if true; then {{environment}} fi", "{{environment}} must stand on a line of its own."),
    ("# {{sbatch}}", "{{sbatch}} must stand on a line of its own."),
    ("{{guard}} {{offline}}", "{{guard}} must stand on a line of its own."),
]


def _messages(template: str, site: Site) -> list[str]:
    with pytest.raises(UserError) as error:
        job_script(template, site, facts_of(Path("/x")))
    return str(error.value).splitlines()


@pytest.mark.parametrize(("line", "message"), MISTAKES)
def test_a_mistake_in_the_template_is_named_with_its_line(line: str, message: str) -> None:
    said = _messages(f"#!/bin/bash\n\n{line}\n", Site(backend="slurm"))
    assert said[0].startswith(f"job.slurm.template: line 3: {message}")


def test_a_field_of_ones_own_is_told_where_to_go() -> None:
    (said,) = _messages("{{reservation}}", Site())
    assert said.endswith("A field of your own goes into site.yaml as fields.reservation.")


@pytest.mark.parametrize("name", ["run", "account", "sbatch", "environment"])
def test_a_field_that_ftexp_fills_is_not_to_be_set(name: str) -> None:
    said = _messages(TEMPLATE, Site(fields={name: "x", "mine": "y"}))
    assert said == [f"site.yaml: fields.{name}: ftexp fills this field itself. Choose another name."]


def test_every_mistake_of_the_template_is_told_at_once() -> None:
    template = "\n".join(line for line, _ in MISTAKES)
    said = _messages(template, Site(fields={"root": "x"}))
    assert said[0].startswith("site.yaml: fields.root: ")
    for number, (_, message) in enumerate(MISTAKES, start=1):
        assert any(one.startswith(f"job.slurm.template: line {number}: {message}") for one in said), (number, said)


@pytest.mark.parametrize("line", ["#SBATCH --reservation={{reservation}}", "#SBATCH\t--reservation={{reservation}}"])
def test_a_line_of_the_labs_own_reaches_the_array(line: str) -> None:
    template = TEMPLATE.replace("{{sbatch}}\n", f"{{{{sbatch}}}}\n{line}\n")
    script = job_script(template, replace(CLUSTER, fields={"reservation": "course"}), facts_of(Path("/x")))
    array = array_text(shape(script), Path("/x"))
    head = array.split("\ntrap ")[0].splitlines()
    assert [line for line in head if line.split() == ["#SBATCH", "--reservation=course"]]
    assert [line for line in script.splitlines() if line.startswith("#SBATCH --")][:3] == head[2:5]


SAME_SHAPE = [
    "--job-name={{run}}", "--job-name {{run}}", "-J {{run}}", "-J{{run}}", "--output=logs/{{run}}-%j.out", "-o {{run}}",
    "--error={{run}}.err", "-e {{run}}", "--comment={{run}}", "--array=0-3", "-a 1",
]  # fmt: skip


@pytest.mark.parametrize("option", SAME_SHAPE)
def test_what_submit_says_itself_parts_no_array(option: str) -> None:
    plain = shape(job_script(TEMPLATE, CLUSTER, facts_of(Path("/x"))))
    template = TEMPLATE.replace("{{sbatch}}\n", f"{{{{sbatch}}}}\n#SBATCH {option}\n")
    assert shape(job_script(template, CLUSTER, facts_of(Path("/x")))) == plain


ANOTHER_SHAPE = ["--time=1", "--open-mode=truncate", "--exclude=n1", "-p gpu", "-J x -p gpu", "--comment=x --mem=1G"]


@pytest.mark.parametrize("option", ANOTHER_SHAPE)
def test_what_a_job_asks_for_parts_arrays(option: str) -> None:
    plain = shape(job_script(TEMPLATE, CLUSTER, facts_of(Path("/x"))))
    template = TEMPLATE.replace("{{sbatch}}\n", f"{{{{sbatch}}}}\n#SBATCH {option}\n")
    assert shape(job_script(template, CLUSTER, facts_of(Path("/x")))) != plain


def test_a_local_script_asks_slurm_for_nothing() -> None:
    assert shape(job_script(TEMPLATE, Site(), facts_of(Path("/x")))) == ()


@pytest.mark.parametrize(
    ("tasks", "text"),
    [([0], "0"), ([0, 1], "0-1"), ([0, 2], "0,2"), ([7, 2, 1, 0, 9], "0-2,7,9"), (list(range(1000)), "0-999"), ([5, 3], "3,5")],
)
def test_task_numbers_are_written_as_sbatch_takes_them(tasks: list[int], text: str) -> None:
    assert task_ranges(tasks) == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{{sbatch}}\n", ""), "names no {{sbatch}}: without it a job asks for no walltime, no memory and no GPU"),
        (("{{guard}}\n", ""), "names no {{guard}}: without it a script would train on the login node"),
        ((" {{stage}} {{run}}", ""), "names no {{stage}}: a script has to name its stage"),
        (("{{sbatch}}", "{{sbatch}}\n#SBATCH --output=/tmp/x"), "line 4: --output is given by `make submit`. Take it out."),
        (("{{sbatch}}", "{{sbatch}}\n#SBATCH -p gpu --array=0-9"), "line 4: --array is given by `make submit`. Take it out."),
        (("set -u", "set -u\n#SBATCH --time=1"), "sbatch reads no #SBATCH line after the first command. Move it up."),
    ],
)
def test_a_template_that_would_not_do_what_the_site_says_is_refused(change: tuple[str, str], message: str) -> None:
    template = TEMPLATE.replace("# {{title}} of run {{run}}.", "#").replace(*change)
    with pytest.raises(UserError, match=re.escape(message)):
        check_template(template, CLUSTER, "job.slurm.template")


def test_the_template_that_ships_is_accepted() -> None:
    check_template(TEMPLATE, CLUSTER, "job.slurm.template")
    check_template(TEMPLATE, Site(), "job.slurm.template")
