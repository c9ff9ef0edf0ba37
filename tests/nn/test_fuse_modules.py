"""``ao.quantization.fuse_modules``: what is fused, where it goes, and that the numbers stay."""

import pytest

import rustorch_py as rt
from rustorch_py import nn
from rustorch_py.ao.nn import intrinsic
from rustorch_py.ao.quantization import fuse_modules, fuse_modules_qat, get_fuser_method


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.relu = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, groups=4), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 4, 2, 2), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2), nn.ReLU())

    def forward(self, x):
        return self.head(self.block(self.relu(self.bn(self.conv(x)))).mean((2, 3)))


GROUPS = [["conv", "bn", "relu"], ["block.0", "block.1"], ["block.2", "block.3"], ["head.0", "head.1"], ["head.2", "head.3"]]


def trained():
    rt.manual_seed(0)
    net = Net()
    for _ in range(3):                                   # statistics that are no identity
        net(rt.randn(8, 3, 8, 8) * 2 + 1)
    with rt.no_grad():
        for m in net.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.weight.uniform_(-1.5, 1.5)
                m.bias.uniform_(-1, 1)
    return net.eval()


def test_a_copy_is_fused_and_the_numbers_stay():
    net, x = trained(), rt.randn(4, 3, 8, 8)
    want = net(x)
    fused = fuse_modules(net, GROUPS)
    assert [type(fused.get_submodule(g[0])) for g in GROUPS] == [intrinsic.ConvReLU2d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear, intrinsic.LinearReLU]
    assert all(type(fused.get_submodule(name)) is nn.Identity for g in GROUPS for name in g[1:])
    assert type(net.bn) is nn.BatchNorm2d and type(net.conv) is nn.Conv2d
    rt.testing.assert_close(fused(x), want)
    with rt.no_grad():
        rt.testing.assert_close(fused(x), want)
    fused(x).sum().backward()
    assert fused.conv[0].weight.grad is not None and fused.conv[0].bias is not None


def test_in_place_and_one_list():
    net = trained()
    assert fuse_modules(net, GROUPS[0], inplace=True) is net and type(net.conv) is intrinsic.ConvReLU2d


@pytest.mark.parametrize("n", [1, 2, 3])
def test_each_dimension(n):
    conv, bn = getattr(nn, f"Conv{n}d"), getattr(nn, f"BatchNorm{n}d")
    net = nn.Sequential(conv(2, 4, 3), bn(4), nn.ReLU(), conv(4, 3, 1), nn.ReLU()).eval()
    x = rt.randn(2, 2, *[5] * n)
    fused = fuse_modules(net, [["0", "1", "2"], ["3", "4"]])
    assert type(fused[0]) is type(fused[3]) is getattr(intrinsic, f"ConvReLU{n}d")
    rt.testing.assert_close(fused(x), net(x))
    net.train()
    together = fuse_modules_qat(net, [["0", "1", "2"]])
    assert type(together[0]) is getattr(intrinsic, f"ConvBnReLU{n}d")
    rt.testing.assert_close(together(x), net(x))
    assert type(fuse_modules_qat(net, ["0", "1"])[0]) is getattr(intrinsic, f"ConvBn{n}d")


def test_hooks_go_over():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).eval()
    seen = []
    net[0].register_forward_pre_hook(lambda m, args: seen.append("before"))
    net[1].register_forward_hook(lambda m, args, out: seen.append("after"))
    fused = fuse_modules(net, ["0", "1"])
    fused(rt.zeros(1, 2))
    assert seen == ["before", "after"] and type(fused[0]) is intrinsic.LinearReLU


def test_what_does_not_go_together():
    with pytest.raises(AssertionError, match="did not find fuser method"):
        fuse_modules(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), ["0", "1"])
    with pytest.raises(AssertionError, match="same mode"):
        fuse_modules(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1).eval()), ["0", "1"])
    with pytest.raises(AssertionError, match="Fusion only for eval"):
        fuse_modules(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)), ["0", "1"])
    with pytest.raises(AssertionError, match="num_features"):
        fuse_modules_qat(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(1)), ["0", "1"])
    with pytest.raises(AssertionError, match="must be of type Conv2d"):
        intrinsic.ConvReLU2d(nn.Linear(1, 1), nn.ReLU())
    with pytest.raises(AttributeError):
        fuse_modules(nn.Sequential(nn.Linear(2, 2)), ["0", "missing"])


def test_a_method_of_ones_own():
    def swap(is_qat, linear, tanh):
        return nn.Sequential(tanh, linear)

    table = {"additional_fuser_method_mapping": {(nn.Linear, nn.Tanh): swap}}
    fused = fuse_modules(nn.Sequential(nn.Linear(2, 2), nn.Tanh()).eval(), ["0", "1"], fuse_custom_config_dict=table)
    assert type(fused[0][0]) is nn.Tanh and get_fuser_method((nn.Linear, nn.ReLU)) is not swap
