"""What is wrong with a config of torchtune's before it is started, whoever wrote it.

A config: `config_check`, from `recipe_keys` and `component_arguments`; `trial` builds what costs nothing, `support` knows
what is refused. Its weights: `checkpoint_check`. All of it, for a bare config (`bare_config`) and for an experiment's runs
(`run_check`).

May import: ground, models, design, and torchtune's own room.
Must not import: states, jobs: a config may belong to no experiment.
"""
