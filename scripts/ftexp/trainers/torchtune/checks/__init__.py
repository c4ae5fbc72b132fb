"""What is wrong with a config of torchtune's before it is started, whoever wrote it.

May import: ground, models, and torchtune's own room.
Must not import: runs, states, jobs: a config may belong to no experiment.
"""
