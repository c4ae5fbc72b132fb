"""The table of results, and what each of its numbers stands on.

`table` makes the rows, `estimates` their means and errors, `cells` their means over seeds, `provenance` follows one down to
its log, `loading_lines` load its model.

May import: everything from ground to jobs.
Must not import: checks, reports.
"""
