"""What people write (kasmgen.yaml, environment.yaml), and what of a project stands on disk."""
