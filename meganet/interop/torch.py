"""Weights to and from PyTorch modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from meganet import _validate
from meganet.backend import Array, backend_of
from meganet.layers.base import Layer


def to_torch(layer: Layer, theta: Array, module: Any) -> None:
    """Copy the weights of a layer or network into a PyTorch module with the same arrays in the same order.

    A `ConvolutionLayer` is ``Conv2d(..., padding=k // 2, padding_mode="circular")``, a `DenseLayer` is ``Linear``
    behind ``Flatten``, a `PoolingLayer` ``AvgPool2d``; a `Chain` of them is a ``Sequential``. Without bias on one
    side there
    is none on the other.

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
    """
    import torch

    _validate.array_shape("theta", theta, (layer.parameters.size,))
    views = layer.parameters._view(backend_of(theta).to_host(theta))
    pairs = _pairs(layer, module)
    with torch.no_grad():
        for name, tensor in pairs:
            source = np.ascontiguousarray(views[name]).reshape(tuple(tensor.shape))
            tensor.copy_(torch.from_numpy(source.copy()))


def from_torch(layer: Layer, module: Any, dtype: Any = np.float64) -> Array:
    """Return the weights of a PyTorch module as those of a layer or network, on the layer's backend.

    Parameters and errors as for `to_torch`.

    Returns
    -------
    array, (layer.parameters.size,)
    """
    dtype = _validate.float_dtype("dtype", dtype)
    theta = np.empty(layer.parameters.size, dtype=dtype)
    views = layer.parameters._view(theta)
    for name, tensor in _pairs(layer, module):
        views[name][...] = tensor.detach().cpu().numpy().reshape(views[name].shape)
    return layer.backend.asarray(theta)


def _pairs(layer: Layer, module: Any) -> list[tuple[str, Any]]:
    """Return our names with the module's tensors after checking that they fit."""
    named = list(module.named_parameters())
    if len(named) != len(layer.parameters):
        ours = ", ".join(layer.parameters.names)
        _validate.reject("module", f"{len(layer.parameters)} arrays of weights ({ours})", str([n for n, _ in named]))
    for p, (name, tensor) in zip(layer.parameters, named, strict=True):
        # a dense kernel is (K, C, H, W) here and (K, C H W) there
        same = tuple(tensor.shape) == p.shape
        if not same and (p.role != "matrix" or tuple(tensor.shape) != (p.shape[0], p.size // p.shape[0])):
            _validate.reject("module", f"{p.name} of shape {p.shape}", f"{name} of shape {tuple(tensor.shape)}")
    return [(p.name, tensor) for p, (_, tensor) in zip(layer.parameters, named, strict=True)]
