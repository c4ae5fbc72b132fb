"""Finished products in a run's folder: who may read them."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ftexp.state.publishing import replace_dir
from safetensors.torch import save_file


@pytest.fixture(params=[0o002, 0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_what_is_published_has_the_modes_that_the_umask_gives(umask: int, tmp_path: Path) -> None:
    """Whatever the library gave that made it: safetensors and tempfile make what is for its owner alone."""
    source = Path(tempfile.mkdtemp(dir=tmp_path))
    (source / "within").mkdir(mode=0o700)
    save_file({"weight": torch.zeros(2)}, source / "adapter_model.safetensors")
    (source / "within/file").touch(mode=0o600)
    replace_dir(source, tmp_path / "published")
    found = [tmp_path / "published", *(tmp_path / "published").rglob("*")]
    assert len(found) == 4 and all(path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask for path in found)
