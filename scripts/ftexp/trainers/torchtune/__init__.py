"""torchtune 0.6.1: its keys, its shipped configs, its families of models, and how it is started. `trainer` is its face.

May import: ground, data, models, design.
Must not import: another trainer; anything from above trainers.
"""
