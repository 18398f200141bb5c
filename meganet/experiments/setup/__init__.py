"""What an experiment is, as data: settings, stages, tables."""
