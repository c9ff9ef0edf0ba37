"""Exceptions. Every class also derives from what PyTorch raises in its place.

``except RuntimeError`` (or ``IndexError``, ``TypeError``, ...) written for PyTorch keeps
working; ``except TensorError`` and ``except DeviceError`` sort the package's own families.
Operands travel as attributes: ``err.op``, and what the raiser passed by keyword.
"""


class RustorchError(Exception):
    """Base of all errors of the package.

    Args:
        message: one line: operator, argument, what was expected, what came, the way out.
        op: name of the operator, when there is one.
        **details: operands (shapes, dtypes, devices) kept as attributes.
    """

    def __init__(self, message="", *, op=None, **details):
        super().__init__(message)
        self.op = op
        for key, value in details.items():
            setattr(self, key, value)


class TensorError(RustorchError, RuntimeError):
    """Shape, dtype or data that do not fit."""


class ShapeError(TensorError):
    """Shapes that do not fit together."""


class DimError(TensorError, IndexError):
    """A dimension or an index out of range."""


class DTypeError(TensorError, NotImplementedError):
    """An element type that the operator does not take; PyTorch raises NotImplementedError where it has no loop for one."""


class TensorTypeError(TensorError, TypeError):
    """An argument of the wrong Python type, or data that cannot become a tensor."""


class TensorValueError(TensorError, ValueError):
    """An argument of the right type whose value is not allowed."""


class IntOverflowError(TensorValueError, TensorTypeError, OverflowError):
    """An integer that does not fit 64 bits: by the way that it takes, PyTorch raises one of the three."""


class TooFewDimsError(ShapeError, DimError, TensorValueError):
    """A tensor with fewer dimensions than asked for; PyTorch mostly finds the size that it looks up out of range."""


class LengthError(ShapeError, TensorValueError, DimError):
    """Sizes that must agree and do not, where PyTorch raises a ValueError or an IndexError: targets of a loss, indices of a row."""


class AutogradError(TensorError):
    """Misuse of gradients: backward twice, stale saved tensors, in-place on leaves."""


class CapturableError(TensorError, AssertionError):
    """A step that is to be captured into a graph, with parameters on a device without graphs."""


class LinAlgError(TensorError):
    """A matrix without the property that a decomposition or solver needs."""


class UnsupportedOpError(TensorError, NotImplementedError):
    """The operator exists, but not for this dtype, layout or device."""


class DeviceError(RustorchError, RuntimeError):
    """A device that is absent, wrong or mixed."""


class BackendUnavailableError(DeviceError):
    """A device or library that is not installed; the message says what to install."""


class OutOfMemoryError(DeviceError, MemoryError):
    """A device without room for an allocation."""


class KernelCompileError(DeviceError):
    """A device kernel that did not compile; carries the log and the source's path."""


class DataError(RustorchError, ValueError):
    """A file or data set that is damaged or does not match."""


class FileFormatError(DataError, RuntimeError):
    """A saved file that is damaged, cut short or of another kind."""


class MissingFolderError(RustorchError, FileNotFoundError, RuntimeError):
    """A file is to be written into a folder that does not exist."""


class PluginError(RustorchError, OSError):
    """A plugin that cannot be loaded; the message names the package or library and the cause."""


class DistError(RustorchError, RuntimeError):
    """Something that went wrong between the processes of a distributed run."""


class DistBackendError(DistError):
    """A message-passing library that reports an error, ranks that disagree, or a collective that timed out."""


class DistNetworkError(DistError):
    """A process that cannot be reached."""


class DistStoreError(DistError):
    """A key that did not come in time."""


class SchemaError(TensorError):
    """An operator's schema that does not parse, or arguments that do not fit one."""


class OpCheckError(RustorchError):
    """A custom operator that does not do what it registered."""


class MissingDependencyError(RustorchError, ImportError):
    """An optional package that is absent; the message names the extra to install."""
