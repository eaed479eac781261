"""One module per program or library outside kasmgen. They import only the ground, never a step."""
