"""Training runs on the disk: each epoch stored in one step, tied together by digests, read with care, resumed."""
