"""The part of an experiment's README that says what it asks and how it is designed; all around it is a person's.

Only the standard library and PyYAML are imported here, because the cookiecutter hook runs this code too.
"""

from ftexp.design.in_words import design_in_words, naming_in_words
from ftexp.design.run import Run
from ftexp.design.spec import Experiment
from ftexp.ground import paths
from ftexp.ground.filesystem import write_bytes_if_changed

BEGIN = "<!-- Written by `make stamp` from experiment.yaml, down to the end mark; the rest of this file is yours. -->"
END = "<!-- end of what is written -->"
_PART = """\
{begin}
{question}

## Design

```
{design}
```

A run's folder is named by its own levels only: the factor's abbreviation and the level, joined by `_`, in the order in
which `experiment.yaml` declares the factors. {naming} The untuned model is `base`. Adding a level renames
nothing; a run that leaves the design keeps its folder.
{end}"""


def renew_readme(experiment: Experiment, runs: list[Run]) -> bool:
    """Bring the part between the marks up to date; where a mark is gone the file is left alone.

    Returns:
        Whether the file was written.
    """
    if not paths.README.is_file():
        return False
    before, begin, rest = paths.README.read_bytes().partition(BEGIN.encode())
    _, end, after = rest.partition(END.encode())
    if not (begin and end):
        return False
    part = _PART.format(
        begin=BEGIN, end=END, question=experiment.question, design=design_in_words(experiment, runs),
        naming=naming_in_words(experiment),
    )
    return write_bytes_if_changed(paths.README, before + part.encode() + after)
