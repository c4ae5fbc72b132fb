"""site.yaml: every profile is good, every mistake is one message that names the key, and a larger model asks for more."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY, Bake
from ftexp.ground.errors import UserError
from ftexp.jobs.job_script import check_template, job_script
from ftexp.jobs.resources import Resources
from ftexp.jobs.site import Site, read_site
from helpers.job_scripts import TEMPLATE, facts_of

PROFILES = sorted(path.stem for path in (REPOSITORY / "sites").glob("*.yaml"))
ASKS = {"time_min": 60, "mem_gb": 16, "cpus": 2, "gpus": 1}
SLURM = f"backend: slurm\ntrain: {ASKS}\neval: {ASKS}\n"
RESOURCES = "time_min, mem_gb, cpus, gpus"
GPUS = "a whole number, 0 or more, or a type and a number such as a100:2"
ONE_WORD = "must be one word without blanks, quotes and backslashes, not beginning with '-', got "


def _read(tmp_path: Path, text: str) -> Site:
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return read_site(path)


def _mistakes(tmp_path: Path, text: str) -> list[str]:
    """The messages for a site.yaml; none where it is accepted."""
    try:
        _read(tmp_path, text)
    except UserError as error:
        return str(error).splitlines()
    return []


def test_the_profiles_are_those_that_the_design_names() -> None:
    assert PROFILES == ["della", "local", "slurm"]


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_read_without_error_and_has_every_resource(name: str) -> None:
    site = read_site(REPOSITORY / "sites" / f"{name}.yaml")
    assert site.backend == ("local" if name == "local" else "slurm")
    for stage in ("train", "eval") if site.backend == "slurm" else ():
        for parameters in (10**6, 8 * 10**9):
            asked = site.resources(stage, parameters)
            assert min(asked.time_min, asked.mem_gb, asked.cpus, asked.gpus) >= 1


def test_a_profile_without_a_line_has_that_lines_default(tmp_path: Path) -> None:
    for name in ("local", "slurm"):
        profile = yaml.safe_load((REPOSITORY / "sites" / f"{name}.yaml").read_text(encoding="utf-8"))
        defaults = {key: value for key, value in profile.items() if key not in ("backend", "device", "train", "eval", "sizes")}
        assert _read(tmp_path, yaml.safe_dump(defaults)) == Site(), name


def test_an_empty_value_is_the_same_as_no_line(tmp_path: Path) -> None:
    words = ("venv", "conda", "account", "partition", "constraint", "qos", "mail", "jobs", "submit_cap", "wandb_project")
    nullable = (*words, "pip_args", "setup", "modules", "sizes", "fields")
    assert _read(tmp_path, "".join(f"{key}: null\n" for key in nullable)) == Site()


UNKNOWN_KEYS = [
    ("partiton: gpu", "partiton: unknown key. Did you mean 'partition'?"),
    ("array-max: 5", "array-max: unknown key. Did you mean 'array_max'?"),
    ("zzz: 1", "zzz: unknown key. Valid here: backend, models, "),
    ("3: 1", "3: unknown key. Valid here: backend, models, "),
    ("train: {time: 5}", "train.time: unknown key. Did you mean 'time_min'?"),
    ("eval: {zzz: 5}", f"eval.zzz: unknown key. Valid here: {RESOURCES}."),
    ("sizes: {7B: {training: {cpus: 1}}}", "sizes.7B.training: unknown key. Did you mean 'train'?"),
    ("sizes: {7B: {train: {gpu: 1}}}", "sizes.7B.train.gpu: unknown key. Did you mean 'gpus'?"),
]
WRONG_TYPES = [
    ("backend: null", "backend: must be a text, got None."),
    ("models: [a]", "models: must be a text, got ['a']."),
    ("venv: 3", "venv: must be a text or null, got 3."),
    ("account: 123", "account: must be a text or null, got 123."),
    ("modules: anaconda3", "modules: must be a list or null, got 'anaconda3'."),
    ("setup: [a]", "setup: must be a text or null, got ['a']."),
    ("offline: 'yes'", "offline: must be true or false, got 'yes'."),
    ("offline: yes", "offline: must be true or false, got 'yes'."),  # YAML 1.2: no boolean
    ("wandb_project: 3", "wandb_project: must be a text or null, got 3."),
    ("offline: 1", "offline: must be true or false, got 1."),
    ("jobs: '2'", "jobs: must be a whole number or null, got '2'."),
    ("jobs: true", "jobs: must be a whole number or null, got True."),
    ("jobs: 2.5", "jobs: must be a whole number or null, got 2.5."),
    ("array_max: null", "array_max: must be a whole number, got None."),
    ("train: 60", "train: must be a mapping, got 60."),
    ("train: null", "train: must be a mapping, got None."),
    ("fields: [a]", "fields: must be a mapping or null, got ['a']."),
]
WRONG_VALUES = [
    ("backend: slrum", "backend: must be one of local, slurm, got 'slrum'."),
    ("device: gpu", "device: must be one of auto, cpu, cuda, got 'gpu'."),
    ("jobs: 0", "jobs: must be 1 or more, or null, got 0."),
    ("submit_cap: -1", "submit_cap: must be 1 or more, or null, got -1."),
    ("array_max: 0", "array_max: must be 1 or more, got 0."),
    ("tries: 0", "tries: must be 1 or more, got 0."),
    ("poll_s: 0", "poll_s: must be 1 or more, got 0."),
    ("warn_s: -1", "warn_s: must be 0 or more seconds, got -1."),
    ("venv: ~/env\nconda: mine", "conda: stands beside venv, and both name the environment. Keep one."),
    ("train: {gpus: -1}", f"train.gpus: must be {GPUS}, got -1."),
    ("train: {gpus: 1.5}", f"train.gpus: must be {GPUS}, got 1.5."),
    ("train: {gpus: {a100: 2}}", f"train.gpus: must be {GPUS}, got {{'a100': 2}}."),
    ("train: {gpus: a100}", f"train.gpus: must be {GPUS}, got 'a100'. Write a100:1."),
    ("train: {gpus: 'gpu:a100:2'}", f"train.gpus: must be {GPUS}, got 'gpu:a100:2'. Write a100:2."),
    ("train: {gpus: '2 x h100'}", f"train.gpus: must be {GPUS}, got '2 x h100'. Write h100:2."),
    ("train: {gpus: 'gpu:4'}", f"train.gpus: must be {GPUS}, got 'gpu:4'. Write 4."),
    ("train: {gpus: 'a100:1,v100:1'}", f"train.gpus: must be {GPUS}, got 'a100:1,v100:1'."),
    ("train: {gpus: a100:0}", f"train.gpus: must be {GPUS}, got 'a100:0'."),
    ("sizes: {7B: {train: {gpus: 'a100: 2'}}}", f"sizes.7B.train.gpus: must be {GPUS}, got 'a100: 2'. Write a100:2."),
    ("gpus_as: gpu", "gpus_as: must be one of gres, gpus-per-node, gpus-per-task, gpus, none, got 'gpu'."),
    ("exclude: n7", "exclude: must be a list or null, got 'n7'."),
    ("exclude: ['n7 n8']", "exclude: must be names of nodes such as n1 or n[3-5], got 'n7 n8'."),
    ("train: {cpus: 0}", "train.cpus: must be a whole number, 1 or more, got 0."),
    ("train: {time_min: 4:00:00}", "train.time_min: must be a whole number, 1 or more, got '4:00:00'."),
    ("eval: {mem_gb: 32G}", "eval.mem_gb: must be a whole number, 1 or more, got '32G'."),
    ("eval: {mem_gb: true}", "eval.mem_gb: must be a whole number, 1 or more, got True."),
    ("eval: {mem_gb: 1.5}", "eval.mem_gb: must be a whole number, 1 or more, got 1.5."),
    ("sizes: {large: {train: {cpus: 1}}}", "sizes.large: must be a number of parameters such as 500M or 7B."),
    ("sizes: {7b: {}}", "sizes.7b: must be a number of parameters such as 500M or 7B."),
    ("sizes: {7: {}}", "sizes.7: must be a number of parameters such as 500M or 7B."),
    ("sizes: {7B: 720}", "sizes.7B: must be a mapping of train and eval, got 720."),
    ("sizes: {7B: {train: 720}}", f"sizes.7B.train: must be a mapping of {RESOURCES}, got 720."),
    ("sizes: {7B: {eval: {time_min: 0}}}", "sizes.7B.eval.time_min: must be a whole number, 1 or more, got 0."),
    ("modules: [cuda/12.4, 'a b']", "modules: must be names as `module load` takes them, got 'a b'."),
    ("modules: ['$(id)']", "modules: must be names as `module load` takes them, got '$(id)'."),
    ("modules: [-f]", "modules: must be names as `module load` takes them, got '-f'."),
    ("modules: [12.4]", "modules: must be names as `module load` takes them, got 12.4."),
    ("modules: ['']", "modules: must be names as `module load` takes them, got ''."),
    ("fields: {Reservation: x}", "fields.Reservation: a field's name is of lower-case letters, digits and '_'."),
    ("fields: {a-b: x}", "fields.a-b: a field's name is of lower-case letters, digits and '_'."),
    ("fields: {1: x}", "fields.1: a field's name is of lower-case letters, digits and '_'."),
    ("fields: {a: null}", "fields.a: must be a text on one line or a number, got None."),
    ("fields: {a: [x]}", "fields.a: must be a text on one line or a number, got ['x']."),
    ("fields: {a: true}", "fields.a: must be a text on one line or a number, got True."),
    ('fields: {a: "x\\ny"}', "fields.a: must be a text on one line or a number, got 'x\\ny'."),
    ('fields: {a: "x\\0y"}', "fields.a: must be a text on one line or a number, got 'x\\x00y'."),
]
WRONG_WORDS = [
    (f"{key}: {value}", f"{key}: {ONE_WORD}{got}.")
    for key in ("account", "partition", "constraint", "qos", "mail")
    for value, got in (
        ("a b", "'a b'"), ("' a'", "' a'"), ('"a\\nb"', r"'a\nb'"), ('"a\\tb"', r"'a\tb'"), ("a'b", '"a\'b"'),
        ("'a\"b'", "'a\"b'"), ("a\\b", r"'a\\b'"), ("-a", "'-a'"), ("''", "''"),
    )
]


@pytest.mark.parametrize(("text", "message"), [*UNKNOWN_KEYS, *WRONG_TYPES, *WRONG_VALUES, *WRONG_WORDS])
def test_a_mistake_is_one_message_that_names_the_key_and_the_value(tmp_path: Path, text: str, message: str) -> None:
    (said,) = _mistakes(tmp_path, text)
    assert said.startswith(f"site.yaml: {message}")


@pytest.mark.parametrize("stage", ["train", "eval"])
@pytest.mark.parametrize("name", list(ASKS))
def test_under_slurm_every_resource_has_to_be_named(tmp_path: Path, stage: str, name: str) -> None:
    some = {key: value for key, value in ASKS.items() if key != name}
    text = SLURM.replace(f"{stage}: {ASKS}", f"{stage}: {some}")
    cure = f"Set all of {RESOURCES}."
    assert _mistakes(tmp_path, text) == [
        f"site.yaml: {stage}.{name}: is missing, and Slurm has to be asked for something. {cure}"
    ]
    assert _mistakes(tmp_path, text.replace("backend: slurm", "backend: local")) == []


def test_a_slurm_site_without_resources_is_told_each_one(tmp_path: Path) -> None:
    keys = [message.split(": ")[1] for message in _mistakes(tmp_path, "backend: slurm")]
    assert keys == [f"{stage}.{name}" for stage in ("train", "eval") for name in ASKS]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    kinds = _mistakes(tmp_path, "acount: a\njobs: two\ntrain: []\n")
    assert [message.split(": ")[1] for message in kinds] == ["acount", "jobs", "train"]
    values = "backend: cloud\ndevice: tpu\naccount: a b\nmodules: [a b]\nfields: {A: 1}\njobs: 0\nwarn_s: -1\nvenv: a\nconda: b\n"
    keys = [message.split(": ")[1] for message in _mistakes(tmp_path, values + "train: {cpus: 0}\nsizes: {x: {}}\n")]
    assert sorted(keys) == sorted([
        "backend", "device", "account", "modules", "fields.A", "jobs", "warn_s", "conda", "train.cpus", "sizes.x",
    ])


@pytest.mark.parametrize("text", ["", "- a", "local", "3"])
def test_a_file_that_is_no_mapping_is_one_message(tmp_path: Path, text: str) -> None:
    assert _mistakes(tmp_path, text) == ["site.yaml: must be a mapping of keys such as backend and models."]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("constraint: gpu80|a100", "constraint", "gpu80|a100"),
        ("constraint: '[rack1|rack2]&ib'", "constraint", "[rack1|rack2]&ib"),
        ("partition: gpu,gpu-long", "partition", "gpu,gpu-long"),
        ("account: lab_x-1", "account", "lab_x-1"),
        ("mail: a.b@c.edu", "mail", "a.b@c.edu"),
        ("modules: [cuda/12.4, gcc/13.2+x, lib_a]", "modules", ("cuda/12.4", "gcc/13.2+x", "lib_a")),
        ("fields: {reservation: 'a \"b\" $(c)', n: 3}", "fields", {"reservation": 'a "b" $(c)', "n": "3"}),
    ],
)
def test_what_slurm_takes_is_taken(tmp_path: Path, text: str, key: str, value: object) -> None:
    assert getattr(_read(tmp_path, text), key) == value


SIZES = """\
backend: local
train: {time_min: 100, mem_gb: 10, cpus: 4, gpus: 1}
eval: {time_min: 50, mem_gb: 5, cpus: 2, gpus: 1}
sizes:
  70B: {train: {time_min: 700, gpus: 8}}
  500M: {train: {time_min: 150, cpus: 6}}
  7B: {train: {time_min: 300, mem_gb: 70}, eval: {mem_gb: 7}}
  1.5B: {train: {time_min: 200}}
"""


@pytest.mark.parametrize(
    ("parameters", "train", "evaluation"),
    [
        (0, Resources(100, 10, 4, 1), Resources(50, 5, 2, 1)),
        (449_999_999, Resources(100, 10, 4, 1), Resources(50, 5, 2, 1)),
        (450_000_000, Resources(150, 10, 6, 1), Resources(50, 5, 2, 1)),  # 500M less the 10 % that names are off by
        (1_349_999_999, Resources(150, 10, 6, 1), Resources(50, 5, 2, 1)),
        (1_350_000_000, Resources(200, 10, 6, 1), Resources(50, 5, 2, 1)),
        (6_299_999_999, Resources(200, 10, 6, 1), Resources(50, 5, 2, 1)),
        (6_300_000_000, Resources(300, 70, 6, 1), Resources(50, 7, 2, 1)),
        (6_738_415_616, Resources(300, 70, 6, 1), Resources(50, 7, 2, 1)),  # Llama 2 7B
        (62_999_999_999, Resources(300, 70, 6, 1), Resources(50, 7, 2, 1)),
        (63_000_000_000, Resources(700, 70, 6, 8), Resources(50, 7, 2, 1)),
    ],
)
def test_a_model_asks_for_what_the_largest_size_it_reaches_names(
    tmp_path: Path, parameters: int, train: Resources, evaluation: Resources
) -> None:
    site = _read(tmp_path, SIZES)
    assert (site.resources("train", parameters), site.resources("eval", parameters)) == (train, evaluation)


def test_a_local_site_that_names_no_resources_asks_for_no_gpu() -> None:
    assert Site().resources("train", 7 * 10**9) == Resources(0, 0, 1, 0)


@pytest.mark.parametrize("name", ["slurm", "della"])
def test_cookiecutters_question_site_takes_a_cluster(bake: Bake, name: str) -> None:
    folder = bake(site=name, factors="{lr: [1e-4]}")
    assert (folder / "site.yaml").read_bytes() == (REPOSITORY / "sites" / f"{name}.yaml").read_bytes()
    assert read_site(folder / "site.yaml").backend == "slurm"
    assert (folder / "job.slurm.template").is_file()


SOUND = """\
backend: slurm
device: cpu
train: {time_min: 240, mem_gb: 8, cpus: 2, gpus: 0}
eval: {time_min: 60, mem_gb: 8, cpus: 2, gpus: 0}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("time_min: 60", "time_min: 3", "site.yaml: eval.time_min: is 3, and warn_s is 120, so a job could be warned of its end"),
        ("device: cpu", "device: cuda", "site.yaml: train.gpus: is 0, and device is cuda. Ask for a GPU, or set device: cpu. If"),
        ("device: cpu", "device: cpu\nsizes: {7B: {train: {time_min: 2}}}", "site.yaml: sizes.7B.train.time_min: is 2, and warn"),
    ],
)
def test_keys_that_contradict_each_other_are_told_before_a_job_is(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SOUND)
    read_site(path)
    path.write_text(SOUND.replace(old, new))
    with pytest.raises(UserError, match=re.escape(message)):
        read_site(path)


ASKED_FOR = {
    "2": ("", "gres", "--gres=gpu:2"),
    "a100:2": ("a100", "gres", "--gres=gpu:a100:2"), "3090:2": ("3090", "gres", "--gres=gpu:3090:2"),
    "nvidia_h100_80gb_hbm3:2": ("nvidia_h100_80gb_hbm3", "gpus-per-node", "--gpus-per-node=nvidia_h100_80gb_hbm3:2"),
    "1g.10gb:2": ("1g.10gb", "gpus", "--gpus=1g.10gb:2"), "v100-32:2": ("v100-32", "gpus-per-task", "--gpus-per-task=v100-32:2"),
    "a40:2": ("a40", "none", None),
}


@pytest.mark.parametrize(("gpus", "kind", "gpus_as", "line"), [(gpus, *said) for gpus, said in ASKED_FOR.items()])
def test_gpus_are_asked_for_by_number_or_type_as_the_cluster_wants_it(
    gpus: str, kind: str, gpus_as: str, line: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "site.yaml"
    text = SOUND.replace("gpus: 0", f"gpus: {gpus}").replace("cpu\n", f"cuda\ngpus_as: {gpus_as}\nexclude: [n7, 'n[1-2]']\n", 1)
    path.write_text(text)
    site = read_site(path)
    asked = site.resources("train", 0)
    assert (asked.gpus, asked.gpu_type) == (2, kind)
    lines = job_script(TEMPLATE, site, replace(facts_of(Path("/x")), resources=asked)).splitlines()
    assert [each.removeprefix("#SBATCH ") for each in lines if "gpu" in each and "SBATCH" in each] == ([line] if line else [])
    assert "#SBATCH --exclude=n7,n[1-2]" in lines


def test_where_sbatch_is_not_asked_for_gpus_there_may_be_none_to_count(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SOUND.replace("device: cpu", "device: cuda\ngpus_as: none"))
    assert not read_site(path).asks_for_gpus


@pytest.mark.parametrize("option", ["--gres=gpu:a100:1", "--gpus-per-node=2", "-G 1", "--gpus 1"])
def test_gpus_are_not_asked_for_twice(option: str) -> None:
    template = TEMPLATE.replace("{{sbatch}}", f"{{{{sbatch}}}}\n#SBATCH {option}")
    with pytest.raises(UserError, match="line 4: -.*site.yaml asks for GPUs .gpus, gpus_as., and sbatch would heed one"):
        check_template(template, Site(backend="slurm", train={"gpus": 1}), "job.slurm.template")
    for site in (Site(backend="slurm", train={"gpus": 1}, gpus_as="none"), Site(backend="slurm", device="cpu")):
        check_template(template, site, "job.slurm.template")
