"""What every room stands on: errors, files, YAML, words, what this machine has and what a job told its process.

Errors and words: `errors`, `wording`, `normal_forms`, `counting`, `text_table`, `shell_text`. Files: `paths`, `filesystem`,
`yamlfile`, `yaml_line`, `nested`, `memories`, `events`. This machine and this call: `gpus`, `cores`, `machine_memory`,
`torch_device`, `own_job`, `options`. Code: `source_code`, `own_code`, `components`.

May import: the standard library and PyYAML (what only jobs need is imported inside a function).
Must not import: any other room.
"""
