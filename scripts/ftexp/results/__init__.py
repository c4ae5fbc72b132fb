"""The table of results, and what each of its numbers stands on.

`judge_runs` has the answers judged, `recorded` makes one table of them, `measures` what each metric reads of it
(`metric_objects` says how it comes from there). `table` makes the rows, of `losses` and of what was `kept`, `cells` their means
over seeds, `selected` what was chosen among them; `provenance` follows one down to its logs, `loading_lines` load its model.
`went_on`: what a stage was done in spite of.

May import: everything from ground to jobs.
Must not import: checks, reports.
"""
