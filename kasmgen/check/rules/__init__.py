"""The rules, one module per subject, each a pure function from what it looks at to hits; `check.table` lists them."""
