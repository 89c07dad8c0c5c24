"""The tests that every method must pass, ours and installed ones: `pytest --pyargs essential.contract -k NAME`."""
