"""transformers.Trainer and PEFT: models of today, DoRA, validation. `trainer` is its face.

A run's config: `config`; what it must hold, by another hand: `expected_keys`. What this trainer does not have: `lacks`. A
training: `train`, started by `process`, is the library's loop with what `training` gives it, in `batches`; it logs by
`progress`, is looked at by `validation`, keeps by `resume`, and ends by `effect`. Its model: `model`, with an `adapter` on the
matrices that `parts` names and `split` takes apart. What is wrong with a config: `checks`.

May import: ground, data, models, design.
Must not import: another trainer; anything from above trainers.
"""
