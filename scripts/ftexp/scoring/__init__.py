"""What recorded answers are worth: a function of them, so that another judgement asks the model under test nothing.

`judge` is the door; `verdicts` what goes in and comes out. The scorers: `texts` and `overlap`, of two texts; `semscore`, by
`embeddings`; `own`, of one's own, and `graders`, models that grade, both by `asking` inspect-ai's scorers. `counts` and `options`
are what metrics are made of. `run_scores` judges a run's answers to a task, as `judgements` say, and keeps them in `score_files`;
`inspect_scorers` are those of an eval.py; `while_training` judges what validates a training.

May import: ground, data, models, design, evaluation.
Must not import: state, jobs, effects: who asks for a judgement, and what is made of it, does not matter to it.
"""
