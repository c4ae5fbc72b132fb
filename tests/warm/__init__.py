"""A warm interpreter for the tests: one process that has imported what is heavy, and forks for every command."""
