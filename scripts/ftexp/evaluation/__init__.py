"""How a run is asked and scored by inspect-ai: task file, model, samples, scorer; and the one reader of its logs.

The task: `eval_file`, which names `samples` (with `cut_documents`), `solver`, `likelihood_solvers`, `head_solver`,
`inspect_task`, `scorer` (with `scorer_name`) and `provider`. The model: `tuned_model`, which `loaded_model` keeps, with
`own_head` for those who load it by hand; `sampling`, `likelihood`, `head_logits`; the provider's queue is `waiting`. The logs:
`inspect_logs`.

May import: ground, data, models, design, trainers (by their face).
Must not import: states, jobs: an evaluation runs by itself, from its eval.py.
"""
