"""Other programs: one module each, and `process`, the one door to all of them."""
