"""HTTP to the provider: for each request, the transport knows whether a byte of it may have left the socket."""
