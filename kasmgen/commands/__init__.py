"""One verb, one file: each returns a value that the command line prints."""
