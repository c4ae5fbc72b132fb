"""What the folder of a base model says, and the tokens of a prompt and its answer, in training and in evaluation.

`folder` names the files, `config_json` reads config.json (what is of a kind of models alone: `kinds`; which keys there are:
`known_keys`; their types: `typed_keys`; RoPE: `rope`, `rope_scaling`; what is found: `reading`; of a kind that is not
tested: `usual_names`), `weights` reads the headers, `loading` makes the library's model of all that, by `library_keys`;
`tokenizer_files` loads the tokenizer, by which `chat` makes the tokens, by the model's `template`; `token_table` holds many,
`beginning` cuts documents between two, and `generation` makes text of them. `hub_cache` knows how the hub's cache keeps models;
`nanogpt` makes a folder of a checkpoint of nanoGPT's.

May import: ground, data.
Must not import: a trainer; how a trainer names a model's parts is told in that trainer's room.
"""
