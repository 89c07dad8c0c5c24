"""A run's figures in the programs that others watch runs with. They are told; nothing is ever read from them."""

from essential.tracking.open_sinks import open_sinks

__all__ = ["open_sinks"]
