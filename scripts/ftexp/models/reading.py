"""What is found in a config.json: what is wrong with it, and what makes of it another model than those that are tested."""

from ftexp.ground.errors import Findings

# The setting that lets through what is not tested.
ALLOW_UNTESTED = "allow_untested_model"


class Reading(Findings):
    """Mistakes of a file, and apart from them what is no mistake, but is not tested."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self._others = Findings(file)

    def other(self, key: str, what: str, cure: str) -> None:
        """Add what is not tested; `cure` says what to do but to allow it."""
        self._others.add(key, what, cure)

    @property
    def untested(self) -> tuple[str, ...]:
        """A message each of what is not tested."""
        return tuple(self._others.messages)
