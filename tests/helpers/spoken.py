"""What the stages before a training say of an experiment in the working folder."""

import contextlib
import io

import split as split_stage
import stamp as stamp_stage
import validate as validate_stage
from ftexp.ground.errors import UserError


def said() -> tuple[str, int, list[str]]:
    """Which of stamp, split and validate spoke last, its exit status and all that was said, as a person would call them."""
    lines = io.StringIO()
    with contextlib.redirect_stderr(lines), contextlib.redirect_stdout(lines):
        for stage in (stamp_stage, split_stage, validate_stage):
            try:
                code = stage.main([])
            except UserError as error:
                print(error)
                code = 1
            if code:
                break
    return stage.__name__, code, lines.getvalue().splitlines()
