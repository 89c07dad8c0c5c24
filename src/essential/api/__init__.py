"""What scripts and the command line call."""
