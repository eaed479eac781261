"""Pure steps: data in, data out. They import only the ground and each other, never a tool."""
