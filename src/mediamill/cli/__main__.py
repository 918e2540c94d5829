"""`python -m mediamill.cli`, for when the script is not on the path."""

from mediamill.cli import main

main()
