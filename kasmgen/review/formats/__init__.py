"""The review as people and programs read it: text, Markdown, JSON, one HTML file. Pure: a report in, text out."""
