"""What is wrong with a run before it starts, and what it will cost: `make validate`.

`preflight` runs all, into `verdicts`. Configs: `read_back`, `design_check`. Models and rows: `base_model`, `model_check`, `rows`,
`row_check`, `odd_cells`, `answer_check`, `option_check`, `document_check`, `trained_rows`, `head_check`, `token_check`. The
place: `site_check`. What asks and judges: `source_check`. The cost: `cost`, `measured_memory`. Of the comparison as a whole:
`cautions`.

May import: everything from ground to jobs; a trainer by its face.
Must not import: results, reports.
"""
