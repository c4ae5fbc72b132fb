"""What the warm server imports: all that is heavy in what an experiment's commands use, and nothing of ftexp."""

import importlib
import os
import sys

_LIBRARIES = (
    "torch", "torchtune", "torchtune.training", "torchtune.data", "torchtune.modules.peft", "torchtune._cli.tune",
    "torchdata.stateful_dataloader", "torchao", "peft", "datasets", "safetensors.torch", "transformers",
    "transformers.models.auto.tokenization_auto", "transformers.models.auto.modeling_auto", "inspect_ai",
    "inspect_ai._cli.main", "pyarrow.parquet", "scipy.stats", "scipy.optimize", "statsmodels.stats.proportion",
    "matplotlib.figure", "matplotlib.backends.backend_svg", "matplotlib.backends.backend_agg", "omegaconf", "yaml",
    "jinja2", "dotenv", "dvc.cli", "dvc.repo",
)
# What these import when they are used: found as the difference of sys.modules over a pipeline of every command.
_LATE = (
    "torchtune.recipe_interfaces", "torchtune.training.metric_logging", "torch.utils.serialization.config",
    "torch.profiler._cupti_monitor", "omegaconf._impl", "antlr4.LL1Analyzer", "multiprocessing.popen_fork",
    "multiprocessing.spawn", "inspect_ai.hooks._startup", "inspect_ai.model._providers.none",
    "inspect_ai.agent._acp.server", "inspect_ai.agent._acp.transport_live", "inspect_ai._control.disconnect",
    "inspect_ai._control.strict", "inspect_ai._control.config_record", "inspect_ai._control.scoring",
    "inspect_ai.solver._transcript", "rich.markdown", "rich._emoji_codes", "rich._unicode_data.unicode17-0-0",
    "anyio._backends._asyncio", "uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto", "uvicorn.lifespan.on",
    "fastapi.telemetry._runtime", "pydantic.v1", "pandas.core.arrays.arrow.extension_types", "pandas.io.formats.csvs",
    "matplotlib.style", "PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PpmImagePlugin",
    "dvc.cli.parser", "dvc.analytics", "dvc.lock", "dvc.cachemgr", "dvc.data_cloud", "dvc.repo.init", "dvc.repo.open_repo",
    "dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.metrics", "dvc.repo.params", "dvc.repo.plots", "dvc.repo.stage",
    "dvc.repo.index", "dvc.repo.graph", "dvc.repo.trie", "dvc_data.hashfile.db.local", "dvc_data.hashfile.status",
    "dvc_data.hashfile._progress", "scmrepo.git", "scmrepo.noscm", "scmrepo.git.backend.pygit2.filter", "pygit2",
    "fsspec.implementations.memory", "ruamel.yaml", "networkx", "encodings.cp437",
    "dvc._debug", "dvc.dirs", "dvc.daemon", "dvc.rwlock", "dvc.utils.strictyaml", "dulwich.worktree", "dulwich.ignore",
    "dulwich.index", "dulwich.patch", "dulwich.line_ending", "configobj", "ruamel.yaml.mergevalue", "matplotlib.style.core",
    "inspect_ai._control.current_server",
)
_FAMILIES = {
    "torchtune.models.{}": ("qwen2", "qwen2_5", "llama2", "llama3", "llama3_1", "llama3_2", "mistral", "phi3", "gemma", "gemma2"),
    "transformers.models.{0}.configuration_{0}": ("qwen2", "llama", "mistral", "phi3", "gemma", "gemma2"),
    "transformers.models.{0}.modeling_{0}": ("qwen2", "llama", "mistral", "phi3", "gemma", "gemma2"),
    "transformers.models.{0}.tokenization_{0}": ("qwen2", "llama", "gemma"),
    "transformers.models.{0}.tokenization_{0}_fast": ("qwen2", "llama", "gemma"),
}
ALL = (*_LIBRARIES, *_LATE, *(module.format(family) for module, names in _FAMILIES.items() for family in names))


def _read_model_data() -> None:
    """The table of models that inspect-ai reads at its first answer, from YAML, which takes half a second."""
    from inspect_ai.model._model_info import _get_model_info_db

    _get_model_info_db()


def import_all() -> None:
    """Import everything.

    Raises:
        RuntimeError: If something of ftexp came along, of which every experiment has its own copy.
    """
    for name in ALL:
        importlib.import_module(name)
    _read_model_data()
    ours = [name for name in sys.modules if name.partition(".")[0] == "ftexp"]
    if ours:
        raise RuntimeError(f"the server imported {ours}")
    print(f"{os.getpid()}: ready, with {len(sys.modules)} modules", file=sys.stderr, flush=True)
