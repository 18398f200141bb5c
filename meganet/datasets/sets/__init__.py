"""The data sets, one file each, which registers it by ``TITLES`` and describes it by ``SET``; see `catalogue`."""
