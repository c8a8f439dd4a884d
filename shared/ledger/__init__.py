"""Tables of the service, and the only modules that write them: one module per noun."""
