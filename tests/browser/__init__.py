"""The console as people use it: in a real browser, on the whole running system."""
