"""How the system is put up: the private stack of one machine, the stand-in provider, containers."""
