"""An environment's overlay: the patches that make it of the base, and the proof that they do."""
