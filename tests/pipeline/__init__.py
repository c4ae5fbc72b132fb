"""A package for the sake of its conftest.py: by that it is pipeline.conftest, and `from conftest import` is tests/conftest.py."""
