"""`python -m essential` is `essential`."""

from essential.cli import main

main()
