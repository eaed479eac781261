"""Measurements of kasmgen against what it must do at least: `python -m bench`, or `make bench`."""
