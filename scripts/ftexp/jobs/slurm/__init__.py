"""A Slurm cluster: its commands, claims, submissions, the queue, and waiting.

May import: everything from ground to state, and jobs.
Must not import: the local backend.
"""
