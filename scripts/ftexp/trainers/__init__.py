"""Who trains: the face that every trainer shows (`interface`), which one a run has (`choice`), and a folder for each.

What they share: the rows and their order (`prompted_rows`, each a `training_row`; of a classifier `labelled_rows`), what a
config says of them and of their tokens (`dataset_section`), how a batch is shared out (`shares`), what does not go together
(`asked`), the names of `recipes` and of the matrices that LoRA adapts (`lora_names`), how these begin (`lora_start`) and are
joined (`joined_lora`), `master_weights`, `sizes`, `checkpoint_tensors`, `expected_keys`; `train_csv`, and `validation_csv`
with `looks_in_words`; the W&B run of a training (`tracker`, of which `tracking` says whether there is one), `device_file`,
`numbered_dirs`, `child_process`.
`base_check` compares the base that a trainer makes with transformers'.

May import: ground, data, models, design.
Must not import: evaluation, states, jobs. Outside of here nothing imports a trainer's own folder.
"""
