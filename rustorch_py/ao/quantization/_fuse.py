"""``fuse_modules``: batch normalizations folded into the layers before them, ReLUs taken along."""
from copy import deepcopy

from ... import nn
from ...nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from ..nn import intrinsic

__all__ = ["fuse_conv_bn", "fuse_conv_bn_relu", "fuse_convtranspose_bn", "fuse_linear_bn", "fuse_known_modules", "fuse_modules", "fuse_modules_qat",
           "get_fuser_method"]

_WITH_BN = {nn.Conv1d: intrinsic.ConvBn1d, nn.Conv2d: intrinsic.ConvBn2d, nn.Conv3d: intrinsic.ConvBn3d}
_WITH_BN_RELU = {nn.Conv1d: intrinsic.ConvBnReLU1d, nn.Conv2d: intrinsic.ConvBnReLU2d, nn.Conv3d: intrinsic.ConvBnReLU3d}
_WITH_RELU = {nn.Conv1d: intrinsic.ConvReLU1d, nn.Conv2d: intrinsic.ConvReLU2d, nn.Conv3d: intrinsic.ConvReLU3d}


def _check(what, layer, bn, features, is_qat):
    if layer.training != bn.training:
        raise AssertionError(f"{what} and BN both must be in the same mode (train or eval).")
    if is_qat:
        if bn.num_features != features:
            raise AssertionError(f"Output features of {what} must match num_features of BatchNorm, got {features} and {bn.num_features}")
        if not bn.affine or not bn.track_running_stats:
            raise AssertionError("Only support fusing BatchNorm with affine and track_running_stats set to True")


def _kind(layer, kinds):
    found = kinds.get(type(layer))
    if found is None:
        raise NotImplementedError(f"Cannot fuse modules: there is none of {type(layer).__name__} with what follows it")
    return found


def fuse_conv_bn(is_qat, conv, bn):
    """Return one module that does both: in evaluation a convolution with the normalization folded in, in training (``is_qat``) both in a row."""
    _check("Conv", conv, bn, conv.out_channels, is_qat)
    return _kind(conv, _WITH_BN)(conv, bn) if is_qat else fuse_conv_bn_eval(conv, bn)


def fuse_conv_bn_relu(is_qat, conv, bn, relu):
    """Return one module that does all three: ``ConvReLU`` with the normalization folded in, in training (``is_qat``) ``ConvBnReLU``."""
    _check("Conv", conv, bn, conv.out_channels, is_qat)
    return _kind(conv, _WITH_BN_RELU)(conv, bn, relu) if is_qat else _kind(conv, _WITH_RELU)(fuse_conv_bn_eval(conv, bn), relu)


def fuse_linear_bn(is_qat, linear, bn):
    """Return one module that does both: a ``Linear`` with the normalization folded in, in training (``is_qat``) ``LinearBn1d``."""
    _check("Linear", linear, bn, linear.out_features, is_qat)
    return intrinsic.LinearBn1d(linear, bn) if is_qat else fuse_linear_bn_eval(linear, bn)


def fuse_convtranspose_bn(is_qat, convt, bn):
    """Return a transposed convolution with the normalization folded in (evaluation only)."""
    _check("ConvTranspose", convt, bn, convt.out_channels, is_qat)
    if is_qat:
        raise Exception("Fusing ConvTranspose+BatchNorm not yet supported in QAT.")
    return fuse_conv_bn_eval(convt, bn, transpose=True)


def _in_a_row(kind):
    def fuse(is_qat, *layers):
        return kind(*layers)
    return fuse


_FUSERS = {
    (nn.Linear, nn.BatchNorm1d): fuse_linear_bn,
    (nn.Linear, nn.ReLU): _in_a_row(intrinsic.LinearReLU),
    (nn.BatchNorm2d, nn.ReLU): _in_a_row(intrinsic.BNReLU2d),
    (nn.BatchNorm3d, nn.ReLU): _in_a_row(intrinsic.BNReLU3d),
}
for _conv, _turned, _bn in ((nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d), (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d),
                            (nn.Conv3d, nn.ConvTranspose3d, nn.BatchNorm3d)):
    _FUSERS[_conv, _bn] = fuse_conv_bn
    _FUSERS[_conv, _bn, nn.ReLU] = fuse_conv_bn_relu
    _FUSERS[_conv, nn.ReLU] = _in_a_row(_WITH_RELU[_conv])
    _FUSERS[_turned, _bn] = fuse_convtranspose_bn


def get_fuser_method(op_list, additional_fuser_method_mapping=None):
    """Return the function ``(is_qat, *modules)`` that fuses modules of these types.

    Raises:
        AssertionError: there is none.
    """
    method = {**_FUSERS, **(additional_fuser_method_mapping or {})}.get(tuple(op_list))
    if method is None:
        raise AssertionError(f"did not find fuser method for: {tuple(op_list)} ")
    return method


def fuse_known_modules(mod_list, is_qat, additional_fuser_method_mapping=None):
    """Return as many modules as given: the fused one, then ``Identity``.

    Forward pre-hooks of the first module and forward hooks of the last one go over to the fused one.
    """
    fused = get_fuser_method([type(m) for m in mod_list], additional_fuser_method_mapping)(is_qat, *mod_list)
    for hooks, register in ((mod_list[0]._forward_pre_hooks, fused.register_forward_pre_hook), (mod_list[-1]._forward_hooks, fused.register_forward_hook)):
        for hook in hooks.values():
            register(hook)
        hooks.clear()
    rest = [nn.Identity() for _ in mod_list[1:]]
    for module in rest:
        module.training = mod_list[0].training
    return [fused, *rest]


def _replace(model, names, is_qat, fuser, custom):
    modules = [model.get_submodule(name) for name in names]
    for name, module in zip(names, fuser(modules, is_qat, (custom or {}).get("additional_fuser_method_mapping"))):
        owner, _, own_name = name.rpartition(".")
        setattr(model.get_submodule(owner), own_name, module)


def _fuse(model, modules_to_fuse, is_qat, inplace, fuser, custom):
    if not inplace:
        model = deepcopy(model)
    groups = [modules_to_fuse] if all(isinstance(entry, str) for entry in modules_to_fuse) else modules_to_fuse
    for names in groups:
        _replace(model, names, is_qat, fuser, custom)
    return model


def fuse_modules(model, modules_to_fuse, inplace=False, fuser_func=fuse_known_modules, fuse_custom_config_dict=None):
    """Fuse modules of a model in evaluation mode.

    Args:
        model: the model.
        modules_to_fuse: names of modules that follow each other, or a list of such lists: convolution and batch normalization, with or without
            a ReLU; convolution, Linear or batch normalization and ReLU; Linear and batch normalization; transposed convolution and batch
            normalization.
        inplace: change the model itself rather than a copy.
        fuser_func: makes of the modules as many new ones; the first takes their place, ``Identity`` the others'.
        fuse_custom_config_dict: ``{"additional_fuser_method_mapping": {types: function(is_qat, *modules)}}``.

    Returns:
        The model. Batch normalizations are folded into weights; the rest is float arithmetic as before.

    Raises:
        AssertionError: modules of types that do not go together, or in training mode.

    Example:
        >>> import rustorch_py as torch
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU()).eval()
        >>> [type(m).__name__ for m in torch.ao.quantization.fuse_modules(net, ["0", "1", "2"])]
        ['ConvReLU2d', 'Identity', 'Identity']
    """
    return _fuse(model, modules_to_fuse, False, inplace, fuser_func, fuse_custom_config_dict)


def fuse_modules_qat(model, modules_to_fuse, inplace=False, fuser_func=fuse_known_modules, fuse_custom_config_dict=None):
    """Put modules of a model in training mode together, normalizations kept; arguments as for ``fuse_modules``."""
    return _fuse(model, modules_to_fuse, True, inplace, fuser_func, fuse_custom_config_dict)
