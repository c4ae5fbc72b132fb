"""What a person reads: sentences, figures, the page, the columns explained.

May import: everything from ground to jobs, effects, results.
Must not import: checks, life.
"""
