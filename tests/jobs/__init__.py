"""About jobs: scripts, Slurm, and what becomes of them. A package, so that its conftest.py is not tests/conftest.py."""
