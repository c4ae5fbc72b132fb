"""What stages of a run went on with although something spoke against it, by the manifests that vouch for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ftexp.state.work import read_manifest


@dataclass(frozen=True)
class WentOn:
    """What was let through.

    Attributes:
        preflight: Per stage that is done what its preflight said against it when it began; empty where that was green.
        untested: What of its model nobody had tested; empty where it was a model that is tested.
    """

    preflight: Mapping[str, str] = field(default_factory=dict)
    untested: tuple[str, ...] = ()

    def in_words(self) -> list[str]:
        """A sentence each, as a reason in results.csv."""
        forced = [f"{stage} went on although its preflight said: {reason}" for stage, reason in self.preflight.items()]
        return [*forced, *(f"nobody has tested this: {message}" for message in self.untested)]


def went_on(whose: Mapping[str, str]) -> WentOn:
    """What stages that are done went on with.

    Args:
        whose: Per stage the run that has it.
    """
    manifests: dict[str, Mapping[str, Any]] = {stage: read_manifest(run, stage) or {} for stage, run in whose.items()}
    forced = {stage: manifest["preflight"] for stage, manifest in manifests.items() if manifest.get("preflight")}
    untested = dict.fromkeys(message for manifest in manifests.values() for message in manifest.get("untested", []))
    return WentOn(forced, tuple(untested))
