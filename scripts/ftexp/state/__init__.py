"""What is done, stale, failed or running: manifests, records, locks, versions of the code, and what DVC knows.

`work` says it, in the words of `status_words`, from what `publishing` and `job_record` wrote, `run_lock` and `code_version`;
`inputs` are what a stage is made from, `row_sets` knows whether rows are those of the data as it is now, `imported_code` what a
process computes with, whatever comes to lie on disk, `base_checks` what was found of base models. `generated` are files that
stamp wrote; `dvc_files` and `garbage` are DVC's.

May import: ground, data, models, design; a trainer by its face; of evaluation the text of eval.py.
Must not import: jobs (a queue is handed in), reports.
"""
