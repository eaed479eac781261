"""Where a chart comes from: one module per kind of source."""
