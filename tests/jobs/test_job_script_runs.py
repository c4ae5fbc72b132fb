"""Job scripts, executed: whatever a value holds it executes nowhere, and the payload's end is the script's."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import stamp as stamp_stage
from conftest import REPOSITORY
from ftexp.design.planning import planned_runs
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.jobs.resources import RESOURCES
from ftexp.jobs.site import Site, read_site
from ftexp.jobs.slurm.arrays import shape
from helpers.job_scripts import (
    ASKED,
    CLUSTER,
    RUN,
    STUB,
    SUBMISSION,
    TEMPLATE,
    array_text,
    make_root,
    run_script,
    seen_by_payload,
    write_program,
    write_script,
)
from helpers.stamped import edit_experiment, set_factors

EVIL = "$(touch owned) `touch owned` '; touch owned; ' \"; touch owned; \" ; touch owned #"
ROOTS = [
    "a b", "it's", 'say "x"', "$(touch owned)", "`touch owned`", "; touch owned #", "back\\slash\\",
    "100%d%%j", "$HOME", "${x:-y}", "*", "~", "-x", "{{run}}", "!!", " outer ", "#SBATCH --time=1", EVIL, "é日本",
]  # fmt: skip


@pytest.mark.parametrize("name", ROOTS)
@pytest.mark.parametrize("backend", ["local", "slurm"])
def test_whatever_the_folder_is_called_the_script_runs_in_it(name: str, backend: str, tmp_path: Path) -> None:
    root = make_root(tmp_path / name)
    done = run_script(write_script(root, replace(CLUSTER, backend=backend)), tmp_path, SLURM_JOB_ID="7")
    assert (done.returncode, done.stdout, done.stderr) == (0, "said by the payload\n", "")
    assert (root / "called").read_text() == f"scripts/execute.py\ntrain\n{RUN}\n"
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("name", ROOTS)
def test_whatever_the_folder_is_called_a_task_does_its_run_in_it(name: str, tmp_path: Path) -> None:
    root = make_root(tmp_path / name)
    directives = shape(write_script(root, CLUSTER).read_text(encoding="utf-8"))
    path = tmp_path / "array.sh"
    path.write_text(array_text(directives, root, Path("its list.txt")), encoding="utf-8")
    (root / "its list.txt").write_text(f"2\tother\tdead\n12\t{RUN}\tbeef\n")
    done = run_script(path, tmp_path, SLURM_JOB_ID="99", SLURM_ARRAY_JOB_ID="70", SLURM_ARRAY_TASK_ID="12")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (root / "called").read_text() == f"scripts/execute.py\ntrain\n{RUN}\n"
    assert (root / "runs" / RUN / "train.log").read_text() == "said by the payload\n"
    own = {"FTEXP_TASK": "99 70_12", "FTEXP_SLURM_JOB": "99"}
    assert {"FTEXP_SUBMISSION": SUBMISSION, "FTEXP_INPUT_HASH": "beef", **own}.items() <= seen_by_payload(root).items()
    comment = f"scontrol update JobId=70_12 Comment=ftexp:mine:{RUN}:train:beef\n"
    assert (tmp_path / "asked").read_text().startswith(comment)
    assert not list(tmp_path.rglob("owned"))


LAB_LINES = [
    "echo {{root}}", "echo x{{root}}y{{root}}", "  # in {{root}}", "# in {{root}}", "#SBATCH --chdir={{root}}", "x=1 # {{root}}",
    'echo "{{root}}"', "echo '{{root}}'", "echo `echo {{root}}`", "echo \"'\" '{{root}}'", 'echo "one\n{{root}}"',
    "echo 'one\n{{root}}'",
]  # fmt: skip


@pytest.mark.parametrize("line", LAB_LINES)
@pytest.mark.parametrize("name", ["a b", "$(touch owned)", "';touch owned;'"])
def test_a_field_in_a_line_of_the_labs_own_is_harmless_or_refused(line: str, name: str, tmp_path: Path) -> None:
    root = make_root(tmp_path / name)
    try:
        script = write_script(root, CLUSTER, TEMPLATE.replace("set -u\n", f"set -u\n{line}\n"))
    except UserError:
        return
    done = run_script(script, tmp_path, SLURM_JOB_ID="7")
    assert not list(tmp_path.rglob("owned"))
    assert (done.returncode, done.stderr) == (0, "")
    if line.startswith("echo {{"):
        assert done.stdout == f"{root}\nsaid by the payload\n"


@pytest.mark.parametrize("line", ["echo \"it's\" {{run}}", "echo it\\'s {{run}}", "echo 'a' \"b\" {{run}}", "echo {{run}} ''"])
def test_a_field_beside_quotes_is_filled_in(line: str, tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    done = run_script(write_script(root, Site(), f"cd {{{{root}}}}\n{line}\n"), tmp_path)
    assert RUN in done.stdout and done.returncode == 0


def test_what_site_yaml_says_is_text_and_setup_lines_are_lines(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    asked = {name: getattr(ASKED, name) for name in RESOURCES}
    document = {
        "backend": "slurm", "train": asked, "eval": asked, "modules": ["cuda/12.4"], "account": "$(touch${IFS}owned)",
        "partition": "`touch`;a", "setup": "say='{{run}} $HOME'\necho \"$say\"\n\nif true; then\n  export LAB=1\nfi",
        "fields": {"greeting": EVIL, "number": 3, "reservation": "{{root}}"},
    }  # fmt: skip
    (root / "site.yaml").write_text(json.dumps(document), encoding="utf-8")
    lines = "set -u\nprintf '%s\\n' {{greeting}} {{number}} {{account}} {{partition}} x{{reservation}}\n# {{greeting}}\n"
    script = write_script(root, read_site(root / "site.yaml"), TEMPLATE.replace("set -u\n", lines))
    done = run_script(script, tmp_path, SLURM_JOB_ID="7", HOME="/home/ada")
    printed = [EVIL, "3", "$(touch${IFS}owned)", "`touch`;a", "x{{root}}"]
    assert done.stdout.splitlines() == ["{{run}} $HOME", *printed, "said by the payload"]
    assert (done.returncode, done.stderr, (tmp_path / "asked").read_text()) == (0, "", "module load cuda/12.4\n")
    assert seen_by_payload(root)["LAB"] == "1"
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
    set_factors(json.dumps({"model": [model], "wording": wording}))
    edit_experiment("model: tiny-instruct, ", "")
    shutil.copy(REPOSITORY / "sites" / "slurm.yaml", paths.SITE_YAML)
    assert stamp_stage.main([]) == 0
    runs = [run.id for run in planned_runs()]
    assert len(runs) == 6 and all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]*", run) for run in runs)
    scripts = sorted(Path("runs").glob("*/*.slurm"))
    assert len(scripts) == 9 and len({shape(path.read_text()) for path in scripts if path.name == "finetune.slurm"}) == 1
    (root / ".venv").unlink()
    write_program(root / ".venv/bin/python", STUB)
    for path in scripts:
        done = run_script(root / path, tmp_path, SLURM_JOB_ID="7")
        assert (done.returncode, done.stderr) == (0, "")
        stage = "train" if path.name == "finetune.slurm" else "eval"
        assert (root / "called").read_text() == f"scripts/execute.py\n{stage}\n{path.parent.name}\n"
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize(
    ("payload", "code"), [("exit 0", 0), ("exit 1", 1), ("exit 77", 77), ("kill -TERM $$", -15), ("kill -KILL $$", -9)]
)
@pytest.mark.parametrize("site", [Site(), CLUSTER], ids=["local", "slurm"])
def test_the_end_of_the_payload_is_the_end_of_the_script(payload: str, code: int, site: Site, tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    assert run_script(write_script(root, site), tmp_path, PAYLOAD=payload, SLURM_JOB_ID="7").returncode == code


def test_a_task_ends_as_its_run_does_and_without_slurms_comment_all_the_same(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    write_script(root, CLUSTER)
    path = root / "array.sh"
    path.write_text(array_text((), root, Path("list")), encoding="utf-8")
    (root / "list").write_text(f"0\t{RUN}\tbeef\n")
    log = root / "runs" / RUN / "train.log"
    log.write_text("of a former job\n")
    ids = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}
    variables = {**ids, "PAYLOAD": "exit 5", "EXIT_scontrol": "1"}
    assert run_script(path, tmp_path, **variables).returncode == 5
    unheard = "Slurm did not take the job's comment; the list of the submission has the same\n"
    assert log.read_text() == unheard + "said by the payload\n"
    assert run_script(path, tmp_path, **variables, SLURM_RESTART_COUNT="1").returncode == 5
    assert log.read_text().count("said by the payload") == 2, "a requeued job's log goes on"


def test_a_task_that_is_not_in_the_list_does_nothing(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    write_script(root, CLUSTER)
    (root / "array.sh").write_text(array_text((), root, Path("list")), encoding="utf-8")
    (root / "list").write_text(f"10\t{RUN}\tbeef\n")
    assert run_script(root / "array.sh", tmp_path, SLURM_JOB_ID="7", SLURM_ARRAY_TASK_ID="1").returncode != 0
    assert not (root / "called").exists() and not (tmp_path / "asked").exists()


@pytest.mark.parametrize("offline", [True, False])
def test_a_job_is_told_that_there_is_no_hub_where_the_site_says_so(offline: bool, tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    assert run_script(write_script(root, Site(offline=offline)), tmp_path).returncode == 0
    flags = {"HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"}
    assert {name: seen_by_payload(root).get(name) for name in flags} == dict.fromkeys(flags, "1" if offline else None)


def test_every_execution_has_caches_of_its_own(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    script = write_script(root, Site())
    seen = []
    for _ in range(2):
        assert run_script(script, tmp_path, XDG_CACHE_HOME="/shared", TRITON_CACHE_DIR="/shared/t").returncode == 0
        seen.append(seen_by_payload(root))
    for name in ("XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
        assert all(Path(one[name]).is_relative_to(one["FTEXP_CACHE"]) for one in seen), name
    assert len({one["FTEXP_CACHE"] for one in seen}) == 2
    assert all(Path(one["FTEXP_CACHE"]).is_dir() and Path(one["FTEXP_CACHE"]).parent == tmp_path / "tmp" for one in seen)


def test_the_payload_sees_what_the_job_asked_for(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    script = write_script(root, CLUSTER)
    done = run_script(script, tmp_path, "--log", "other run", SLURM_JOB_ID="7", SLURM_CPUS_PER_TASK="4", PYTHONPATH="/mine")
    assert done.returncode == 0
    assert (root / "called").read_text() == f"scripts/execute.py\ntrain\n{RUN}\n--log\nother run\n"
    expected = {
        "FTEXP_DEVICE": "cuda", "FTEXP_PROCESSES": "2", "FTEXP_TRIES": "5", "FTEXP_TIME_MIN": "240", "FTEXP_MEM_GB": "64",
        "OMP_NUM_THREADS": "4", "PYTHONPATH": "scripts:/mine", "LAB": "a b",
    }
    assert expected.items() <= seen_by_payload(root).items()


def test_the_warning_before_the_walltime_ends_no_job_whose_python_has_only_begun(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    done = run_script(write_script(root, CLUSTER), tmp_path, PAYLOAD="kill -USR1 $$; echo alive", SLURM_JOB_ID="7")
    assert (done.returncode, done.stdout) == (0, "said by the payload\nalive\n")


@pytest.mark.parametrize(("stage", "target"), [("train", "submit"), ("eval", "eval")])
def test_outside_a_job_a_clusters_script_stops_with_one_message(stage: str, target: str, tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    script = write_script(root, CLUSTER, stage=stage)
    done = run_script(script, tmp_path)
    path = paths.RunPaths(RUN).script(stage)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{path}: is the script of a Slurm job, and this is none. Run: make {target}\n"
    assert not (root / "called").exists() and not (tmp_path / "asked").exists()
    assert run_script(script, tmp_path, SLURM_JOB_ID="7").returncode == 0
    assert (root / "called").is_file()


def test_a_setup_line_that_fails_ends_the_job_before_the_payload(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    assert run_script(write_script(root, Site(setup="false | cat")), tmp_path).returncode == 1
    assert run_script(write_script(root, CLUSTER), tmp_path, SLURM_JOB_ID="7", EXIT_module="3").returncode == 3
    assert not (root / "called").exists()
