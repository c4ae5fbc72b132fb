"""The data set component: the rows that every trainer trains on, under the path that configs of torchtune's name."""

from ftexp.trainers import prompted_rows


class PromptedRows(prompted_rows.PromptedRows):
    """See `ftexp.trainers.prompted_rows`; its arguments are the keys of the config's `dataset`."""
