"""The shipped configs, and the base of every config section."""
