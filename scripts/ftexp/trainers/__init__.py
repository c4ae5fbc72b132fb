"""Who trains: the face that every trainer shows (`interface`), which one a run has (`choice`), and a folder for each.

`base_check` compares the base that a trainer makes with transformers'.
`tracking` is what Weights & Biases is told, whoever trains.

May import: ground, data, models, design.
Must not import: evaluation, states, jobs. Outside of here nothing imports a trainer's own folder.
"""
