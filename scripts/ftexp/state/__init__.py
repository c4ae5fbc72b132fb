"""What is done, stale, failed or running: manifests, records, locks, versions of the code, and what DVC knows.

May import: ground, data, models, design.
Must not import: jobs (a queue is handed in), reports.
"""
