"""What is wrong with the tables that effects are computed from."""


class UnusableTable(ValueError):
    """The tables contradict each other, or lack something; the text says where, what, and what to do."""
