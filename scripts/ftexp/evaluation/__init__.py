"""How a run is asked and scored by inspect-ai: task file, model, samples, scorer; and the one reader of its logs.

May import: ground, data, models, design, trainers (by their face).
Must not import: states, jobs: an evaluation runs by itself, from its eval.py.
"""
