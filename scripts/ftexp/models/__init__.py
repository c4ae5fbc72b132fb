"""What the folder of a base model says, and the tokens of a prompt and its answer, in training and in evaluation.

`folder` reads config.json and names the weights, `chat` makes the tokens.

May import: ground, data.
Must not import: a trainer; how a trainer names a model's parts is told in that trainer's room.
"""
