"""What `dvc metrics` shows: one small JSON file per run, made from results.csv's rows.

One folder, and no stage or file of a run's own, so that DVC's no-op stays as fast as it is.
"""

import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from ftexp.ground import paths
from ftexp.ground.filesystem import write_json
from ftexp.results.table import NUMBERS


def write_metrics(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Write metrics/<run>.json for every row, and remove those of other runs; return whether anything changed.

    A number that is not known is null, which DVC shows as an empty cell.
    """
    wanted: dict[str, dict[str, Any]] = {}
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        numbers = {name: float(cells[name]) if cells[name] else None for name in NUMBERS}
        of_run = wanted.setdefault(f"{cells['run']}.json", {"train_loss": numbers.pop("train_loss")})
        numbers.pop("train_loss", None)
        of_run.setdefault(cells["task"], {})[cells["metric"]] = numbers
    extra = [path for path in paths.METRICS_DIR.glob("*") if path.name not in wanted]
    for path in extra:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return bool(extra) + sum(write_json(paths.METRICS_DIR / name, numbers) for name, numbers in wanted.items()) > 0
