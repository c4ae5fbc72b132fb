"""The code and the packages that a job's process imports, as they were on disk before it imported them."""

import importlib.metadata
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ftexp.ground import paths
from ftexp.ground.memories import FileHashes
from ftexp.ground.own_code import handed_on, require_same
from ftexp.state.code_version import PARTS_OF, digests_of, version_of

_PACKAGES = ("torch", "torchtune", "torchao", "transformers", "peft", "accelerate", "tokenizers", "inspect-ai")


@dataclass(frozen=True)
class ImportedCode:
    """What a process computes with, whatever happens on disk afterwards.

    Attributes:
        stage: `train` or `eval`.
        parts: Per part of the code that computes the stage's numbers the digest of each of its files, by its name below ftexp/.
        packages: Versions of the packages that a manifest names.
    """

    stage: str
    parts: dict[str, dict[str, str]]
    packages: dict[str, str]

    @classmethod
    def before_imports(cls, stage: str) -> "ImportedCode":
        """What is on disk now, to be asked before anything of it is imported."""
        return cls(stage, _parts(stage), package_versions())

    def version(self, part: str) -> str:
        """What a manifest names."""
        return version_of(self.parts[part])

    def handed_on(self, part: str) -> AbstractContextManager[None]:
        """Within it the processes that a stage starts are told which code of this part the job computes with."""
        return handed_on(self.parts[part])

    def require_on_disk(self) -> None:
        """What this process has imported is still what is on disk, and what a record would name.

        Raises:
            CodeEdited: If it is not.
        """
        for part, files in _parts(self.stage).items():
            require_same(self.parts[part], files)
        require_same(self.packages, package_versions())


def _parts(stage: str) -> dict[str, dict[str, str]]:
    memory = FileHashes(paths.HASHES_JSON)
    return {part: digests_of(part, memory) for part in PARTS_OF[stage]}


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a number, as they are installed now."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}
