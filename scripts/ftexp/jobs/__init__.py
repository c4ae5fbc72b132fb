"""Where and how stages run: the site, the files that a job needs, the work list, the local backend; Slurm in `slurm/`.

What a job needs: `site`, `resources`, `stamping`, `job_script`, `dot_env`. What is to do: `work_list`, given to `backends`, of
which `local_backend` is one; `progress` shows it. A job: `worker`, which does runs one after another, each an `attempt` at one
of the `stages`, hears of `interruption`, and finds by `diagnosis` why it died.

May import: everything from ground to state.
Must not import: checks, results, reports.
"""
