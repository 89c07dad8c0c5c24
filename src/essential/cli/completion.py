"""What the shell completes as the value of an option or argument, by its start; files where nothing fits.

Each is called in a process of its own at every press of the key, and loads no torch.
"""


def config_names(start: str) -> list[str]:
    """Return the shipped configs."""
    from essential.configs.shipped import shipped_names

    return [name for name in shipped_names().configs if name.startswith(start)]


def method_names(start: str) -> list[str]:
    """Return the shipped methods."""
    from essential.configs.shipped import shipped_names

    return [name for name in shipped_names().methods if name.startswith(start)]


def names_to_show(start: str) -> list[str]:
    """Return the shipped configs and methods."""
    return config_names(start) + method_names(start)


def encoder_names(start: str) -> list[str]:
    """Return the encoders that have a name here; not all of timm's."""
    from essential.encoders.config import ENCODERS

    return [name for name in ENCODERS.names() if name.startswith(start)]
