"""The measured cases, as asv classes; the scripts beside this folder put the same cases beside other libraries."""
