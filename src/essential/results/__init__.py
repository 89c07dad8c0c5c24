"""What records amount to: runs that differ in their seed alone, their means, and methods against each other."""
