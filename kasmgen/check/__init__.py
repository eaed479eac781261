"""`kasmgen check`: what can be known before Flux tries."""
