"""`python -m kasmgen`."""

from kasmgen.cli import main

if __name__ == "__main__":
    main()
