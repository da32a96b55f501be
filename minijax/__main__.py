"""`python -m minijax script.py`: run a program written for JAX; see compat/launch.py."""

import sys

from minijax.compat.launch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
