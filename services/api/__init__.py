"""The REST API: clients, mailings and messages over HTTP. It writes down what is wanted; others do it."""
