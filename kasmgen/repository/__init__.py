"""The Git repository: reading it, writing files into it all or nothing, and committing them."""
