"""From experiment.yaml to runs: what may be written there, the factors, the combinations, the runs and their ids.

What may be written: `spec` and its parts `sections`, `prompt_section`, `factors`, `settings` with `torchtune_keys`,
`evaluation_section` with `tasks` and `judging`, `validation_section` with `validation_values`, `select_section`, `documents`,
`question`; `settings_table` documents it. What follows: `combinations`, `run` (one run), `runs` (all of them) with `controls`,
`trainings` (which of them share one), `heads` (what they choose from), `unused` (what some make no use of), `levels` (their
texts), `planning` (the files), `task_rows` (whether rows fit their tasks), `in_words`, `asking_words`, `confounds` and
`fit_of_scores` (for people).

May import: ground, data, models; the standard library and PyYAML only, because the cookiecutter hook runs this code too.
Must not import: a trainer, or anything that has been trained.
"""
