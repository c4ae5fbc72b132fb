"""The code and the packages that a job's process imports, as they were on disk before it imported them."""

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ftexp.ground import paths
from ftexp.ground.memories import FileHashes
from ftexp.ground.own_code import handed_on, require_same
from ftexp.state.code_version import PART_OF, digests_of, version_of

_PACKAGES = ("torch", "torchtune", "torchao", "transformers", "peft", "tokenizers", "inspect-ai")


@dataclass(frozen=True)
class ImportedCode:
    """What a process computes with, whatever happens on disk afterwards.

    Attributes:
        stage: `train` or `eval`.
        files: Digest of each file of ours whose code can change the stage's numbers, by its name below ftexp/.
        packages: Versions of the packages that a manifest names.
    """

    stage: str
    files: dict[str, str]
    packages: dict[str, str]

    @classmethod
    @contextmanager
    def before_imports(cls, stage: str) -> Iterator["ImportedCode"]:
        """What is on disk now, to be asked before anything of it is imported; meanwhile handed on to the stage's processes."""
        files = _files(stage)
        with handed_on(files):
            yield cls(stage, files, package_versions())

    @property
    def version(self) -> str:
        """What a manifest names."""
        return version_of(self.files)

    def require_on_disk(self) -> None:
        """What this process has imported is still what is on disk, and what a record would name.

        Raises:
            CodeEdited: If it is not.
        """
        require_same(self.files, _files(self.stage))
        require_same(self.packages, package_versions())


def _files(stage: str) -> dict[str, str]:
    return digests_of(PART_OF[stage], FileHashes(paths.HASHES_JSON))


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide a number, as they are installed now."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}
