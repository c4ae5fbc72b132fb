"""Every path of an experiment. What goes into git holds these relative to the experiment's root only."""

from dataclasses import dataclass
from pathlib import Path

from ftexp.ground.errors import UserError


@dataclass(frozen=True)
class RunPaths:
    """The paths of one run, relative to the experiment's root."""

    run: str

    @property
    def dir(self) -> Path:
        return Path("runs") / self.run

    @property
    def run_yaml(self) -> Path:
        return self.dir / "run.yaml"

    @property
    def finetune_yaml(self) -> Path:
        return self.dir / "finetune.yaml"

    @property
    def eval_py(self) -> Path:
        return self.dir / "eval.py"

    @property
    def dvc_yaml(self) -> Path:
        return self.dir / "dvc.yaml"

    @property
    def dvc_lock(self) -> Path:
        return self.dir / "dvc.lock"

    @property
    def checkpoint_dir(self) -> Path:
        return self.dir / "checkpoint"

    @property
    def train_csv(self) -> Path:
        return self.dir / "train.csv"

    @property
    def validation_csv(self) -> Path:
        return self.dir / "validation.csv"

    @property
    def eval_dir(self) -> Path:
        return self.dir / "eval"

    def eval_log(self, asking: str) -> Path:
        """Where the log of one asking lies."""
        return self.eval_dir / f"{asking}.eval"

    def script(self, stage: str) -> Path:
        """The job script of a stage (`train` or `eval`)."""
        return self.dir / ("finetune.slurm" if stage == "train" else "eval.slurm")

    def manifest(self, stage: str) -> Path:
        """What says that a stage is done, and from what: hashes of inputs and outputs."""
        return self.dir / f"{stage}.json"

    def job(self, stage: str) -> Path:
        """Where and when the stage ran last, and how it ended; not in git."""
        return self.dir / f"{stage}.job.json"

    def log(self, stage: str) -> Path:
        """What the job printed; not in git."""
        return self.dir / f"{stage}.log"

    def claim(self, stage: str) -> Path:
        """Who took the stage to Slurm."""
        return CLAIMS_DIR / f"{self.run}.{stage}.json"

    def scratch_dir(self, stage: str) -> Path:
        """What an interrupted stage resumes from; it goes when the stage is done."""
        return Path(".scratch") / stage / self.run


EXPERIMENT_YAML = Path("experiment.yaml")
SITE_YAML = Path("site.yaml")
DOT_ENV = Path(".env")
JOB_TEMPLATE = Path("job.slurm.template")
RUNS_CSV = Path("runs.csv")
RUNS_DIR = Path("runs")
MODELS_LINK = Path("models")
SPLITS_DIR = Path("data/splits")
SCORES_DIR = Path("scores")
PREFLIGHT_JSON = Path("preflight.json")
RESULTS_CSV = Path("results.csv")
CELLS_CSV = Path("cells.csv")
EFFECTS_CSV = Path("effects.csv")
SELECTED_CSV = Path("selected.csv")
ITEMS_PARQUET = Path("items.parquet")
FIGURES_DIR = Path("figures")
METRICS_DIR = Path("metrics")
TIMINGS_CSV = Path("timings.csv")
REPORT_HTML = Path("report.html")
# What a report leaves in git, its figures and metrics aside, and SELECTED_CSV where levels are chosen.
REPORT_FILES = (RESULTS_CSV, CELLS_CSV, EFFECTS_CSV, REPORT_HTML)
EVENTS_JSONL = Path("events.jsonl")
CODE_JSON = Path("code.json")
ROOT_DVC_YAML = Path("dvc.yaml")
ROOT_DVC_LOCK = Path("dvc.lock")
LOCKS_DIR = Path(".scratch/locks")
STAMP_JSON = Path(".scratch/stamp.json")
REPORT_MEMORY_JSON = Path(".scratch/report.json")
UPGRADE_DIR = Path(".scratch/upgrade")
BASE_CHECKS_DIR = Path(".scratch/bases")
HASHES_JSON = Path(".scratch/hashes.json")
RUN_DOCUMENTS_JSON = Path(".scratch/runs.json")
# Weights & Biases makes its folder `wandb` here.
LOGS_DIR = Path("logs")
CLAIMS_DIR = Path(".scratch/claims")
SUBMISSIONS_DIR = Path(".scratch/submissions")
DEFERRED_JSON = Path(".scratch/deferred.json")
BAD_NODES_JSON = Path(".scratch/bad_nodes.json")
TEMPLATE_JSON = Path("template.json")
README = Path("README.md")
REHEARSAL_DIR = Path("rehearsal")


def split_dir(name: str) -> Path:
    """The folder of one set of rows: train.jsonl or test.jsonl, or both where one half of a data section makes both."""
    return SPLITS_DIR / name


def split_part(name: str, part: str) -> Path:
    """The rows that a set holds for one part: train or test."""
    return split_dir(name) / f"{part}.jsonl"


def split_json(name: str, part: str) -> Path:
    """What one part of a set was made from, and how many rows it has."""
    return split_dir(name) / f"{part}.json"


def model_dir(model: str) -> Path:
    """The folder of a base model, seen through the experiment's link `models`."""
    return MODELS_LINK / model


def require_experiment() -> None:
    """Check that the working folder is an experiment's root, from which every path is relative.

    Raises:
        UserError: If there is no experiment.yaml here.
    """
    if not EXPERIMENT_YAML.is_file():
        raise UserError(f"{EXPERIMENT_YAML}: there is none in {Path.cwd()}. Run this from an experiment's folder.")


def from_root(path: str | Path) -> Path:
    """A path relative to the experiment's root, made absolute by where this code lies.

    For code that another program loads (inspect-ai), which may have changed the working folder.
    """
    return Path(__file__).resolve().parents[3] / path
