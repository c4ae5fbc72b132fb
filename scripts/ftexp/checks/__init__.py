"""What is wrong with a run before it starts, and what it will cost: `make validate`.

May import: everything from ground to jobs; a trainer by its face.
Must not import: results, reports.
"""
