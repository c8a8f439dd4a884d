"""The sender: a stateless machine that turns jobs into outcomes. It has no database; any number may run."""
