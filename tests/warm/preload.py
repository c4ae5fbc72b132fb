"""What the warm server imports: all that is heavy in what an experiment's commands use, and nothing of ftexp."""

import importlib
import os
import sys

_LIBRARIES = (
    "torch", "torchtune", "torchtune.config", "torchtune.training", "torchtune.data", "torchtune.modules.peft",
    "torchtune.models", "torchtune._cli.tune", "torchdata.stateful_dataloader", "torchao", "peft", "datasets",
    "safetensors.torch", "transformers", "transformers.models.auto.tokenization_auto",
    "transformers.models.auto.modeling_auto", "inspect_ai", "inspect_ai._cli.main", "numpy", "pandas", "pyarrow.parquet",
    "scipy.stats", "scipy.optimize", "statsmodels.stats.proportion", "matplotlib.figure", "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg", "matplotlib.font_manager", "omegaconf", "yaml", "jinja2", "dotenv", "dvc.cli",
    "dvc.repo", "dvc.commands.commit", "dvc.commands.repro", "dvc.commands.status",
)


def import_all() -> None:
    """Import everything.

    Raises:
        RuntimeError: If something of ftexp came along, of which every experiment has its own copy.
    """
    for name in _LIBRARIES:
        importlib.import_module(name)
    ours = [name for name in sys.modules if name.partition(".")[0] == "ftexp"]
    if ours:
        raise RuntimeError(f"the server imported {ours}")
    print(f"{os.getpid()}: ready, with {len(sys.modules)} modules", file=sys.stderr, flush=True)
