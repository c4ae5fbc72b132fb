"""From experiment.yaml to runs: what may be written there, the factors, the combinations, the runs and their ids.

May import: ground, data, models; the standard library and PyYAML only, because the cookiecutter hook runs this code too.
Must not import: a trainer, or anything that has been trained.
"""
