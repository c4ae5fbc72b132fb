"""The table of results, and what each of its numbers stands on.

May import: everything from ground to jobs.
Must not import: checks, reports.
"""
