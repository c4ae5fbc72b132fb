"""The life of an experiment: made from answers, set up, rehearsed, renamed, upgraded.

Made: `new_experiment`, `data_answer`, `question_answer`, `given_design`, `written_answers`, `template_files`, `readme`. Set up:
`environment`, `pip_options`, `surroundings`; what stands on make's command line: `command_line`. Rehearsed: `rehearsal`,
`small_design` with `small_evaluation`, `covering_set`, `tiny_copy`. Renamed: `renaming`. Upgraded: `upgrading`,
`upgrade_preview`.

May import: every other room.
Must not be imported by any.
"""
