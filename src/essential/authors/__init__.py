"""What the authors' released code wrote or was called with, read into our terms: its checkpoints and its flags."""
