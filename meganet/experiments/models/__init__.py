"""Networks by name: each file here holds some, as functions of the shape of the images."""
