"""The generated repository: where files stand, and which of them are ours."""
