"""Tensors that stand for those of an accelerator: they count what makes the host wait for it."""

from collections import Counter
from contextlib import ExitStack

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

_WAITS = (
    "_local_scalar_dense",
    "nonzero",
    "equal",
    "masked_select",
    "_linalg_check_errors",
    "bincount",
)
_FACTORIES = {torch.arange, torch.eye, torch.linspace, torch.zeros, torch.ones, torch.full}
_READS = {Tensor.tolist, Tensor.cpu, Tensor.numpy}


class Far(Tensor):
    """Numbers that only kernels can see; every operation on them gives such numbers again."""

    @staticmethod
    def __new__(cls, held):
        return Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device=held.device
        )

    def __init__(self, held):
        self.held = held

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of Accelerator")


class Accelerator:
    """Counts, while it is entered, the read-backs and the host tensors that operations meet.

    Attributes:
        reads: Read-backs by name.
        uploads: Host tensors of more than one number that meet far ones, by operation.
        launches: Operations on far tensors.
    """

    def __init__(self):
        self.reads, self.uploads, self.launches = Counter(), Counter(), 0
        self._met = {}

    def __enter__(self):
        self._stack = ExitStack()
        self._stack.enter_context(_Operations(self))
        self._stack.enter_context(_Methods(self))
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def reset(self):
        """Start to count anew; host tensors that were met before are there by now."""
        self.reads.clear()
        self.uploads.clear()
        self.launches = 0

    def count(self, func, args, kwargs):
        """Count one operation."""
        name = func.overloadpacket.__name__
        self.launches += 1
        if name in _WAITS or (name == "index" and any(_is_mask(item) for item in args[1])):
            self.reads[name] += 1
        for leaf in tree_leaves((args, kwargs)):
            host = isinstance(leaf, Tensor) and not isinstance(leaf, Far) and leaf.ndim
            if host and leaf.untyped_storage().data_ptr() not in self._met:
                self._met[leaf.untyped_storage().data_ptr()] = leaf
                self.uploads[name] += 1


class _Operations(TorchDispatchMode):
    def __init__(self, counter):
        super().__init__()
        self.counter = counter

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not any(isinstance(leaf, Far) for leaf in tree_leaves((args, kwargs))):
            return func(*args, **kwargs)
        self.counter.count(func, args, kwargs)
        held_args, held_kwargs = tree_map(near, (args, kwargs))
        out = func(*held_args, **held_kwargs)
        return tree_map(lambda item: Far(item) if isinstance(item, Tensor) else item, out)


class _Methods(TorchFunctionMode):
    def __init__(self, counter):
        super().__init__()
        self.counter = counter

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in _READS and isinstance(args[0], Far):
            self.counter.reads[func.__name__] += 1
            return func(args[0].held, *args[1:], **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        made_there = func in _FACTORIES and (kwargs or {}).get("device") is not None
        return Far(out) if made_there and isinstance(out, Tensor) else out


def near(item):
    """Return what a far tensor holds."""
    return item.held if isinstance(item, Far) else item


def move_far(module):
    """Make the parameters and buffers of a module far ones."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = Far(value.data)
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = Far(value)
    return module


def _is_mask(index):
    return isinstance(index, Tensor) and index.dtype == torch.bool
