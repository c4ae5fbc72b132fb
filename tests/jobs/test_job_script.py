"""Job scripts: the text is as accepted, whatever a value holds it executes nowhere, and the payload's end is the script's."""

import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import stamp as stamp_stage
from conftest import ENVIRONMENT, REPOSITORY
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.jobs.job_script import ScriptFacts, check_template, job_script
from ftexp.jobs.site import Resources, Site, read_site
from ftexp.jobs.slurm.arrays import array_script, shape, task_ranges

TEMPLATE = (REPOSITORY / "{{cookiecutter.experiment_name}}" / paths.JOB_TEMPLATE).read_text(encoding="utf-8")
GOLDEN = REPOSITORY / "tests/jobs/golden"
RUN = "r4_lr1e-4"
SUBMISSION = "train-20260101T000000-abcdef"
ASKED = Resources(time_min=240, mem_gb=64, cpus=4, gpus=2)
CLUSTER = Site(
    backend="slurm", device="cuda", modules=("cuda/12.4", "gcc/13.2"), setup="ulimit -c 0\nexport LAB='a b'", account="lab",
    partition="gpu,long", constraint="gpu80|a100", qos="short", mail="ada@lab.edu", tries=5, warn_s=90,
)
EVIL = "$(touch owned) `touch owned` '; touch owned; ' \"; touch owned; \" ; touch owned #"
ROOTS = [
    "a b", "it's", 'say "x"', "$(touch owned)", "`touch owned`", "; touch owned #", "back\\slash\\",
    "100%d%%j", "$HOME", "${x:-y}", "*", "~", "-x", "{{run}}", "!!", " outer ", "#SBATCH --time=1", EVIL, "é日本",
]  # fmt: skip
STUB = """\
#!/usr/bin/env bash
# Stands for .venv/bin/python: says how it was called, and ends as PAYLOAD says.
{ printf '%s\\n' "$@"; } >called
env -0 >environment
echo "said by the payload"
eval "${PAYLOAD:-}"
"""


def _facts(root: Path, stage: str = "train") -> ScriptFacts:
    return ScriptFacts(root, stage, RUN, paths.RunPaths(RUN).script(stage), ASKED, processes=2)


def _write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def _make_root(root: Path) -> Path:
    """A folder in which a job script can run, with a stub for its Python."""
    _write_program(root / ".venv/bin/python", STUB)
    (root / "runs" / RUN).mkdir(parents=True)
    return root


def _environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    """No trace of a job, and a folder of programs that a cluster has, put first."""
    programs = tmp_path / "programs"
    for name in ("module", "scontrol"):
        _write_program(programs / name, f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/asked"\nexit ${{EXIT_{name}:-0}}\n')
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "FTEXP", "HF_", "OMP_"))}
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return {**kept, "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(tmp_path / "tmp"), **variables}


def _run(script: Path, tmp_path: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Execute a script from elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    environment = _environment(tmp_path, **variables)
    command = ["bash", str(script), *arguments]
    return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)


def _write_script(root: Path, site: Site, template: str = TEMPLATE, stage: str = "train") -> Path:
    path = root / paths.RunPaths(RUN).script(stage)
    path.write_text(job_script(template, site, _facts(root, stage)), encoding="utf-8")
    return path


def _seen(root: Path) -> dict[str, str]:
    """The payload's environment."""
    pairs = (root / "environment").read_text(encoding="utf-8").rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def _array(directives: tuple[str, ...], root: Path, list_path: Path = Path(".scratch/submissions/x.list")) -> str:
    return array_script(
        directives, root=root, submission=SUBMISSION, stage="train", experiment="mine", list_path=list_path,
        script="finetune.slurm",
    )


def _texts(root: Path = Path("/home/ada/l'essai 1")) -> dict[str, str]:
    """The golden files."""
    local = Site(device="cpu", setup="ulimit -c 0")
    cluster = job_script(TEMPLATE, CLUSTER, _facts(root))
    return {
        "finetune.local.slurm": job_script(TEMPLATE, local, replace(_facts(root), processes=1)),
        "finetune.cluster.slurm": cluster, "array.slurm": _array(shape(cluster), root),
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


@pytest.mark.parametrize("name", ROOTS)
@pytest.mark.parametrize("backend", ["local", "slurm"])
def test_whatever_the_folder_is_called_the_script_runs_in_it(name: str, backend: str, tmp_path: Path) -> None:
    root = _make_root(tmp_path / name)
    done = _run(_write_script(root, replace(CLUSTER, backend=backend)), tmp_path, SLURM_JOB_ID="7")
    assert (done.returncode, done.stdout, done.stderr) == (0, "said by the payload\n", "")
    assert (root / "called").read_text() == f"scripts/execute.py\ntrain\n{RUN}\n"
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("name", ROOTS)
def test_whatever_the_folder_is_called_a_task_does_its_run_in_it(name: str, tmp_path: Path) -> None:
    root = _make_root(tmp_path / name)
    directives = shape(_write_script(root, CLUSTER).read_text(encoding="utf-8"))
    path = tmp_path / "array.sh"
    path.write_text(_array(directives, root, Path("its list.txt")), encoding="utf-8")
    (root / "its list.txt").write_text(f"2\tother\tdead\n12\t{RUN}\tbeef\n")
    done = _run(path, tmp_path, SLURM_JOB_ID="99", SLURM_ARRAY_JOB_ID="70", SLURM_ARRAY_TASK_ID="12")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (root / "called").read_text() == f"scripts/execute.py\ntrain\n{RUN}\n"
    assert (root / "runs" / RUN / "train.log").read_text() == "said by the payload\n"
    assert {"FTEXP_SUBMISSION": SUBMISSION, "FTEXP_INPUT_HASH": "beef"}.items() <= _seen(root).items()
    comment = f"scontrol update JobId=70_12 Comment=ftexp:mine:{RUN}:train:beef\n"
    assert (tmp_path / "asked").read_text().startswith(comment)
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("name", ["a\n#SBATCH --account=other\nb", "a\ntouch owned\n"])
@pytest.mark.parametrize("site", [Site(), CLUSTER], ids=["local", "slurm"])
def test_a_folder_with_a_line_break_in_its_name_is_refused(name: str, site: Site, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has a line break or the like in its name. Rename it"):
        job_script(TEMPLATE, site, _facts(tmp_path / name))


LAB_LINES = [
    "echo {{root}}", "echo x{{root}}y{{root}}", "  # in {{root}}", "# in {{root}}", "#SBATCH --chdir={{root}}", "x=1 # {{root}}",
    'echo "{{root}}"', "echo '{{root}}'", "echo `echo {{root}}`", "echo \"'\" '{{root}}'", 'echo "one\n{{root}}"',
    "echo 'one\n{{root}}'",
]  # fmt: skip


@pytest.mark.parametrize("line", LAB_LINES)
@pytest.mark.parametrize("name", ["a b", "$(touch owned)", "';touch owned;'"])
def test_a_field_in_a_line_of_the_labs_own_is_harmless_or_refused(line: str, name: str, tmp_path: Path) -> None:
    root = _make_root(tmp_path / name)
    try:
        script = _write_script(root, CLUSTER, TEMPLATE.replace("set -u\n", f"set -u\n{line}\n"))
    except UserError:
        return
    done = _run(script, tmp_path, SLURM_JOB_ID="7")
    assert not list(tmp_path.rglob("owned"))
    assert (done.returncode, done.stderr) == (0, "")
    if line.startswith("echo {{"):
        assert done.stdout == f"{root}\nsaid by the payload\n"


@pytest.mark.parametrize("line", ["echo \"it's\" {{run}}", "echo it\\'s {{run}}", "echo 'a' \"b\" {{run}}", "echo {{run}} ''"])
def test_a_field_beside_quotes_is_filled_in(line: str, tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    done = _run(_write_script(root, Site(), f"cd {{{{root}}}}\n{line}\n"), tmp_path)
    assert RUN in done.stdout and done.returncode == 0


def test_what_site_yaml_says_is_text_and_setup_lines_are_lines(tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    document = {
        "backend": "slurm", "train": vars(ASKED), "eval": vars(ASKED), "modules": ["cuda/12.4"], "account": "$(touch${IFS}owned)",
        "partition": "`touch`;a", "setup": "say='{{run}} $HOME'\necho \"$say\"\n\nif true; then\n  export LAB=1\nfi",
        "fields": {"greeting": EVIL, "number": 3, "reservation": "{{root}}"},
    }  # fmt: skip
    (root / "site.yaml").write_text(json.dumps(document), encoding="utf-8")
    lines = "set -u\nprintf '%s\\n' {{greeting}} {{number}} {{account}} {{partition}} x{{reservation}}\n# {{greeting}}\n"
    script = _write_script(root, read_site(root / "site.yaml"), TEMPLATE.replace("set -u\n", lines))
    done = _run(script, tmp_path, SLURM_JOB_ID="7", HOME="/home/ada")
    printed = [EVIL, "3", "$(touch${IFS}owned)", "`touch`;a", "x{{root}}"]
    assert done.stdout.splitlines() == ["{{run}} $HOME", *printed, "said by the payload"]
    assert (done.returncode, done.stderr, (tmp_path / "asked").read_text()) == (0, "", "module load cuda/12.4\n")
    assert _seen(root)["LAB"] == "1"
    assert not list(tmp_path.rglob("owned"))


def test_an_experiment_of_hostile_levels_has_plain_ids_and_scripts_that_execute_none_of_them(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "it's $(touch owned)"
    shutil.move(experiment, root)
    monkeypatch.chdir(root)
    model = "x; touch owned"
    (root / "data/models" / model).symlink_to("tiny-instruct")
    wording = {name: {"prompt.user": f"{name} {{input}}", "prompt.system": name} for name in (EVIL, "a\n$(touch owned)", "it's")}
    factors = json.dumps({"model": [model], "wording": wording})
    text = re.sub(r"(?s)factors:.*?(?=design:)", lambda _: f"factors: {factors}\n", paths.EXPERIMENT_YAML.read_text())
    paths.EXPERIMENT_YAML.write_text(text.replace("model: tiny-instruct, ", ""), encoding="utf-8")
    shutil.copy(REPOSITORY / "sites" / "slurm.yaml", paths.SITE_YAML)
    assert stamp_stage.main([]) == 0
    runs = [run.id for run in planned_runs()]
    assert len(runs) == 6 and all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]*", run) for run in runs)
    scripts = sorted(Path("runs").glob("*/*.slurm"))
    assert len(scripts) == 9 and len({shape(path.read_text()) for path in scripts if path.name == "finetune.slurm"}) == 1
    (root / ".venv").unlink()
    _write_program(root / ".venv/bin/python", STUB)
    for path in scripts:
        done = _run(root / path, tmp_path, SLURM_JOB_ID="7")
        assert (done.returncode, done.stderr) == (0, "")
        stage = "train" if path.name == "finetune.slurm" else "eval"
        assert (root / "called").read_text() == f"scripts/execute.py\n{stage}\n{path.parent.name}\n"
    assert not list(tmp_path.rglob("owned"))


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
        job_script(template, site, _facts(Path("/x")))
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


@pytest.mark.parametrize(
    ("payload", "code"), [("exit 0", 0), ("exit 1", 1), ("exit 77", 77), ("kill -TERM $$", -15), ("kill -KILL $$", -9)]
)
@pytest.mark.parametrize("site", [Site(), CLUSTER], ids=["local", "slurm"])
def test_the_end_of_the_payload_is_the_end_of_the_script(payload: str, code: int, site: Site, tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    assert _run(_write_script(root, site), tmp_path, PAYLOAD=payload, SLURM_JOB_ID="7").returncode == code


def test_a_task_ends_as_its_run_does_and_without_slurms_comment_all_the_same(tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    _write_script(root, CLUSTER)
    path = root / "array.sh"
    path.write_text(_array((), root, Path("list")), encoding="utf-8")
    (root / "list").write_text(f"0\t{RUN}\tbeef\n")
    log = root / "runs" / RUN / "train.log"
    log.write_text("of a former job\n")
    ids = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}
    variables = {**ids, "PAYLOAD": "exit 5", "EXIT_scontrol": "1"}
    assert _run(path, tmp_path, **variables).returncode == 5
    unheard = "Slurm did not take the job's comment; the list of the submission has the same\n"
    assert log.read_text() == unheard + "said by the payload\n"
    assert _run(path, tmp_path, **variables, SLURM_RESTART_COUNT="1").returncode == 5
    assert log.read_text().count("said by the payload") == 2, "a requeued job's log goes on"


def test_a_task_that_is_not_in_the_list_does_nothing(tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    _write_script(root, CLUSTER)
    (root / "array.sh").write_text(_array((), root, Path("list")), encoding="utf-8")
    (root / "list").write_text(f"10\t{RUN}\tbeef\n")
    assert _run(root / "array.sh", tmp_path, SLURM_JOB_ID="7", SLURM_ARRAY_TASK_ID="1").returncode != 0
    assert not (root / "called").exists() and not (tmp_path / "asked").exists()


@pytest.mark.parametrize("offline", [True, False])
def test_a_job_is_told_that_there_is_no_hub_where_the_site_says_so(offline: bool, tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    assert _run(_write_script(root, Site(offline=offline)), tmp_path).returncode == 0
    flags = {"HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"}
    assert {name: _seen(root).get(name) for name in flags} == dict.fromkeys(flags, "1" if offline else None)


def test_every_execution_has_caches_of_its_own(tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    script = _write_script(root, Site())
    seen = []
    for _ in range(2):
        assert _run(script, tmp_path, XDG_CACHE_HOME="/shared", TRITON_CACHE_DIR="/shared/t").returncode == 0
        seen.append(_seen(root))
    for name in ("XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
        assert all(Path(one[name]).is_relative_to(one["FTEXP_CACHE"]) for one in seen), name
    assert len({one["FTEXP_CACHE"] for one in seen}) == 2
    assert all(Path(one["FTEXP_CACHE"]).is_dir() and Path(one["FTEXP_CACHE"]).parent == tmp_path / "tmp" for one in seen)


def test_the_payload_sees_what_the_job_asked_for(tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    script = _write_script(root, CLUSTER)
    done = _run(script, tmp_path, "--log", "other run", SLURM_JOB_ID="7", SLURM_CPUS_PER_TASK="4", PYTHONPATH="/mine")
    assert done.returncode == 0
    assert (root / "called").read_text() == f"scripts/execute.py\ntrain\n{RUN}\n--log\nother run\n"
    expected = {
        "FTEXP_DEVICE": "cuda", "FTEXP_PROCESSES": "2", "FTEXP_TRIES": "5", "FTEXP_TIME_MIN": "240", "FTEXP_MEM_GB": "64",
        "OMP_NUM_THREADS": "4", "PYTHONPATH": "scripts:/mine", "LAB": "a b",
    }
    assert expected.items() <= _seen(root).items()


def test_the_warning_before_the_walltime_ends_no_job_whose_python_has_only_begun(tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    done = _run(_write_script(root, CLUSTER), tmp_path, PAYLOAD="kill -USR1 $$; echo alive", SLURM_JOB_ID="7")
    assert (done.returncode, done.stdout) == (0, "said by the payload\nalive\n")


@pytest.mark.parametrize(("stage", "target"), [("train", "submit"), ("eval", "eval")])
def test_outside_a_job_a_clusters_script_stops_with_one_message(stage: str, target: str, tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    script = _write_script(root, CLUSTER, stage=stage)
    done = _run(script, tmp_path)
    path = paths.RunPaths(RUN).script(stage)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{path}: is the script of a Slurm job, and this is none. Run: make {target}\n"
    assert not (root / "called").exists() and not (tmp_path / "asked").exists()
    assert _run(script, tmp_path, SLURM_JOB_ID="7").returncode == 0
    assert (root / "called").is_file()


def test_a_setup_line_that_fails_ends_the_job_before_the_payload(tmp_path: Path) -> None:
    root = _make_root(tmp_path / "root")
    assert _run(_write_script(root, Site(setup="false | cat")), tmp_path).returncode == 1
    assert _run(_write_script(root, CLUSTER), tmp_path, SLURM_JOB_ID="7", EXIT_module="3").returncode == 3
    assert not (root / "called").exists()


@pytest.mark.parametrize("line", ["#SBATCH --reservation={{reservation}}", "#SBATCH\t--reservation={{reservation}}"])
def test_a_line_of_the_labs_own_reaches_the_array(line: str) -> None:
    template = TEMPLATE.replace("{{sbatch}}\n", f"{{{{sbatch}}}}\n{line}\n")
    script = job_script(template, replace(CLUSTER, fields={"reservation": "course"}), _facts(Path("/x")))
    array = _array(shape(script), Path("/x"))
    head = array.split("\ntrap ")[0].splitlines()
    assert [line for line in head if line.split() == ["#SBATCH", "--reservation=course"]]
    assert [line for line in script.splitlines() if line.startswith("#SBATCH --")][:3] == head[2:5]


SAME_SHAPE = [
    "--job-name={{run}}", "--job-name {{run}}", "-J {{run}}", "-J{{run}}", "--output=logs/{{run}}-%j.out", "-o {{run}}",
    "--error={{run}}.err", "-e {{run}}", "--comment={{run}}", "--array=0-3", "-a 1",
]  # fmt: skip


@pytest.mark.parametrize("option", SAME_SHAPE)
def test_what_submit_says_itself_parts_no_array(option: str) -> None:
    plain = shape(job_script(TEMPLATE, CLUSTER, _facts(Path("/x"))))
    template = TEMPLATE.replace("{{sbatch}}\n", f"{{{{sbatch}}}}\n#SBATCH {option}\n")
    assert shape(job_script(template, CLUSTER, _facts(Path("/x")))) == plain


ANOTHER_SHAPE = ["--time=1", "--open-mode=truncate", "--exclude=n1", "-p gpu", "-J x -p gpu", "--comment=x --mem=1G"]


@pytest.mark.parametrize("option", ANOTHER_SHAPE)
def test_what_a_job_asks_for_parts_arrays(option: str) -> None:
    plain = shape(job_script(TEMPLATE, CLUSTER, _facts(Path("/x"))))
    template = TEMPLATE.replace("{{sbatch}}\n", f"{{{{sbatch}}}}\n#SBATCH {option}\n")
    assert shape(job_script(template, CLUSTER, _facts(Path("/x")))) != plain


def test_a_local_script_asks_slurm_for_nothing() -> None:
    assert shape(job_script(TEMPLATE, Site(), _facts(Path("/x")))) == ()


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
