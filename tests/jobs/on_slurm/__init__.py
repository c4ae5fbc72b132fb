"""On real Slurm daemons, which the tests start and stop: `make test-slurm`."""
