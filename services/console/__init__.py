"""The console: the operators' web interface, a client of the REST API and of nothing else."""
