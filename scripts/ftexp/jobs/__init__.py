"""Where and how stages run: the site, the files that a job needs, the work list, the local backend; Slurm in `slurm/`.

May import: everything from ground to state.
Must not import: checks, results, reports.
"""
