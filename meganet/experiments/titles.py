"""What is to be had by name, with a line on each: known without the numerical libraries, for help and completion."""

from __future__ import annotations

TABLES = {
    "4.1": "net A, trained by SGD",
    "4.2": "net B, trained by SGD",
    "4.3": "net B, its classifier by Newton, then all weights by SGD",
    "4.4": "net B, its classifier and then all weights by Newton",
}
"""How the networks of each table are trained."""

FIGURES = {
    "2.1": "a digit on its way through net B",
    "3.1": "the initial classifier, before and after smoothing",
    "4.1": "convergence, net A",
    "4.2": "classifier blocks after coarse training",
    "4.3": "landscapes, net A",
    "4.4": "digits in the retrained networks, net A",
    "4.5": "landscapes, net B",
    "4.6": "digits in the retrained networks, net B",
}
"""What each figure shows."""

PRESETS = {
    "small": "5,000 digits and few epochs, for a look: minutes",
    "thesis": "the thesis' sizes, on MNIST: hours",
}
"""How large a run is."""

QUESTIONS = {
    "calibration": "Which reading of the thesis gives row New of 4.1?",
    "calibration-theta-alpha": "Which weight of R(theta) gives row New of 4.1?",
    "amplification": "What becomes of what the coarse grid cannot see?",
    "training-images": "Are the training images alone interpolated?",
    "validation-images": "Do validation images differ in high frequencies?",
    "theta-regularisation": "Is R(theta) weaker than printed?",
    "interpolation": "Which P?",
    "classifier-factor": "Which factor on the classifier?",
    "smoothing": "Is the initial classifier smoothed too little?",
    "ordering": "Does R(W) or the transfer see wrong neighbours?",
    "fine-examples": "Are there too few fine examples?",
    "coarse-training": "Is coarse training too short for smooth stencils?",
    "combined": "No R(theta) and interpolated training images?",
    "momentum": "Does momentum matter?",
    "validation-set": "Is the validation set scaled, shifted or noisy?",
    "causes": "Which cause makes Multigrid fail on validation?",
    "sharpness": "Is Multigrid's minimum sharper than Transfer's?",
    "new-classifier": "What holds back New's classifier in 4.3 and 4.4?",
    "worth": "Is Multigrid ever worth it?",
}
"""What each of the `named` experiments answers."""

DATA_SETS = {
    "digits": "5,000 handwritten digits, which a package holds",
    "mnist": "70,000 handwritten digits",
    "fashion-mnist": "70,000 pieces of clothing",
    "cifar-10": "60,000 colour photographs, 10 classes",
    "cifar-100": "the same of 100 classes",
    "stl-10": "13,000 larger colour photographs",
    "circle": "points in the plane, inside and outside of a circle",
    "swiss-roll": "points on two spirals",
    "peaks": "points in the plane, by the height of MATLAB's peaks",
}
"""What `datasets` knows by name."""
