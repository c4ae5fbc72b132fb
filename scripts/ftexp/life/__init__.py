"""The life of an experiment: made from answers, set up, rehearsed, renamed, upgraded.

May import: every other room.
Must not be imported by any.
"""
