"""A Slurm cluster: its commands, claims, submissions, the queue, and waiting.

`commands` alone calls Slurm. `claims` say what was given to it, `queue` what became of that, `identity`
whether a job is ours. `backend` submits, by
`submission` and `arrays`; `deferred` is what had no room, `bad_nodes` are kept off, `wait` comes back when nothing is under way.

May import: everything from ground to state, and jobs.
Must not import: the local backend.
"""
