"""Components that a finetune.yaml names, which torchtune lacks or gets wrong. Their dotted paths stand in every experiment.

May import: ground, data, models, and the modules beside this folder that have no part in checking.
Must not import: the checks; anything that a bare `tune run` with PYTHONPATH=scripts would not have.
"""
