"""The command `mailing` for operators: one module per subcommand, listed in `shared.cli.main`."""
