"""What the folder of a base model says, and the tokens of a prompt and its answer, in training and in evaluation.

May import: ground, data.
Must not import: a trainer; how its trainer names a model's parts is told in that trainer's room.
"""
