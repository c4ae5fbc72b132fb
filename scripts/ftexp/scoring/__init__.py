"""What recorded answers are worth: a function of them, so that another judgement asks the model under test nothing.

May import: ground, data, models, design, evaluation.
Must not import: state, jobs, effects: who asks for a judgement, and what is made of it, does not matter to it.
"""
