"""What everything stands on: checked arguments, files, names that have moved."""
