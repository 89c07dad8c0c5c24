"""What an installed package may add to essential, each in a file of its own; `pyproject.toml` names them."""
