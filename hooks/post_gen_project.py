"""Fills a new experiment: data, model, site, experiment.yaml, then the plan. Runs in the new folder.

Everything was checked before (hooks/answers.py), and needs only what cookiecutter itself needs.
"""

import json
import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path.cwd() / "scripts"))

from ftexp.life.new_experiment import fill_experiment  # noqa: E402

answers = json.loads(r"""{{ cookiecutter | tojson }}""")
for cache in [*Path("scripts").rglob("__pycache__"), *Path("scripts").rglob(".*_cache")]:
    shutil.rmtree(cache)
print(fill_experiment(json.loads(answers["__checked"])))
