"""Training runs: made, stored after every epoch, resumed, read."""
