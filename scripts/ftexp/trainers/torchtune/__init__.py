"""torchtune 0.6.1: its keys, its shipped configs, its families of models, and how it is started. `trainer` is its face.

A run's config: `config`, from `shipped_configs`, `families`, `quantization`, `precision`; what it must hold, by another hand:
`expected_keys`. What torchtune does not have: `lacks`. A training: `process`, and the components. Its model elsewhere:
`weight_layout`, `quantized_base`, `base_model`.

May import: ground, data, models, design.
Must not import: another trainer; anything from above trainers.
"""
