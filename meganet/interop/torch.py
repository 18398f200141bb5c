"""Weights to and from PyTorch modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet.backend import Array, backend_of
from meganet.ground import validate
from meganet.layers.base import Layer


def to_torch(layer: Layer, theta: Array, module: Any) -> None:
    """Copy the weights of a layer or network into a PyTorch module with the same arrays in the same order.

    A `ConvolutionLayer` is ``Conv2d(..., padding=k // 2, padding_mode="circular")``, of videos ``Conv3d``, a
    `DenseLayer` is ``Linear`` behind ``Flatten``, a `PoolingLayer` ``AvgPool2d`` or ``AvgPool3d``; a `Chain` of them is
    a ``Sequential``. Without bias on one side there is none on the other.

    Parameters
    ----------
    layer : Layer
    theta : array, (layer.parameters.size,)
        On any backend.
    module : torch.nn.Module
        Changed in place, in the dtype and on the device that it has.

    Raises
    ------
    InputError
        If the numbers of weights differ, array by array; the module is then as it was.

    Examples
    --------
    >>> import numpy as np
    >>> import torch  # doctest: +SKIP
    >>> import meganet as mn
    >>> from meganet.interop import to_torch
    >>> layer = mn.ConvolutionLayer((1, 28, 28), 4)
    >>> module = torch.nn.Conv2d(1, 4, 3, bias=False)  # doctest: +SKIP
    >>> to_torch(layer, mn.he_normal(layer, np.random.default_rng(0)), module)  # doctest: +SKIP
    >>> module.weight.shape  # doctest: +SKIP
    torch.Size([4, 1, 3, 3])
    """
    import torch

    _check(layer, module)
    backend_of(theta).require("theta", theta)
    validate.array_shape("theta", theta, (layer.parameters.size,))
    validate.float_dtype("dtype of theta", theta.dtype)
    views = layer.parameters.view_unchecked(backend_of(theta).to_host(theta))
    pairs = _pairs(layer, module)
    for name, tensor in pairs:
        validate.fits("theta", views[name], tensor.dtype, torch.finfo(tensor.dtype).max)
    sources = [torch.from_numpy(views[name].reshape(tuple(tensor.shape)).copy()) for name, tensor in pairs]
    before = [tensor.detach().clone() for _, tensor in pairs]
    with torch.no_grad():
        try:
            for (_, tensor), source in zip(pairs, sources, strict=True):
                tensor.copy_(source)
        except RuntimeError as error:
            for (_, tensor), old in zip(pairs, before, strict=True):
                if not tensor.is_set_to(old) and tensor.is_contiguous():
                    tensor.copy_(old)
            validate.reject("module", "tensors that can be written", str(error))


def from_torch(layer: Layer, module: Any, dtype: Any = np.float64) -> Array:
    """Return the weights of a PyTorch module as those of a layer or network, on the layer's backend.

    Parameters and errors as for `to_torch`.

    Returns
    -------
    array, (layer.parameters.size,)

    Examples
    --------
    >>> import torch  # doctest: +SKIP
    >>> import meganet as mn
    >>> from meganet.interop import from_torch
    >>> layer = mn.ConvolutionLayer((1, 28, 28), 4)
    >>> theta = from_torch(layer, torch.nn.Conv2d(1, 4, 3, bias=False))  # doctest: +SKIP
    >>> theta.shape, theta.dtype  # doctest: +SKIP
    ((36,), dtype('float64'))
    """
    _check(layer, module)
    dtype = validate.float_dtype("dtype", dtype)
    theta = np.empty(layer.parameters.size, dtype=dtype)
    views = layer.parameters.view_unchecked(theta)
    for name, tensor in _pairs(layer, module):
        # by way of float64, since NumPy does not know all of PyTorch's dtypes
        numbers = tensor.detach().cpu().double().numpy()
        validate.fits("module", numbers, dtype)
        views[name][...] = numbers.reshape(views[name].shape)
    return layer.backend.asarray(theta)


def _check(layer: Any, module: Any) -> None:
    validate.instance("layer", layer, Layer, "a layer or network")
    if not hasattr(module, "named_parameters"):
        validate.reject("module", "a torch.nn.Module", repr(module))


def _pairs(layer: Layer, module: Any) -> list[tuple[str, Any]]:
    """Return our names with the module's tensors after checking that they fit."""
    named = list(module.named_parameters())
    if len(named) != len(layer.parameters):
        ours = ", ".join(layer.parameters.names)
        validate.reject("module", f"{len(layer.parameters)} arrays of weights ({ours})", str([n for n, _ in named]))
    for p, (name, tensor) in zip(layer.parameters, named, strict=True):
        # a dense kernel is (K, C, H, W) here and (K, C H W) there
        if tensor.is_meta or not tensor.is_floating_point():
            validate.reject("module", "weights of real numbers in memory", f"{name}: {tensor.dtype}, {tensor.device}")
        same = tuple(tensor.shape) == p.shape
        if not same and (p.role != "matrix" or tuple(tensor.shape) != (p.shape[0], p.size // p.shape[0])):
            validate.reject("module", f"{p.name} of shape {p.shape}", f"{name} of shape {tuple(tensor.shape)}")
    return [(p.name, tensor) for p, (_, tensor) in zip(layer.parameters, named, strict=True)]
