"""An environment's Secrets: which it needs, what is in them, sealing them, and who may open them."""
