"""Troubles of what takes long: a full disk under a training, an evaluation and a report, processes that are killed, two at once.

With real trainings by `make all`: test_pipeline. On a cluster: test_slurm.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_results
import pytest
import report
from ftexp import job_record, local_backend, paths
from ftexp.run_lock import only_one_make
from ftexp.state import Work
from test_report import EXPERIMENT, WORDS  # noqa: F401
from test_troubles import KILLED, FullDisk, command, without_scratch
from tiny_models import TinyExperiment, make_experiment

SCRIPTS = Path(report.__file__).parent
NO_ROOM = "No space left on device. Make room on this file system, and run the same command again."
