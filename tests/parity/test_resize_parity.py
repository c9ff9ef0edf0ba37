"""F.interpolate against PyTorch: values, gradients and memory order, over modes, dtypes and layouts."""
import numpy as np
import pytest

import rustorch_py as rt

torch = pytest.importorskip("torch")

TOLERANCE = {"float32": 2e-5, "float64": 1e-12, "bfloat16": 2e-2, "float16": 4e-3}
IMAGES = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
VOLUMES = ("nearest", "nearest-exact", "trilinear", "area")
LINES = ("nearest", "nearest-exact", "linear", "area")


def both(dtype, shape, last, options):
    seen = []
    data = np.random.default_rng(3).standard_normal(shape)
    for lib in (torch, rt):
        x = lib.from_numpy(data).to(getattr(lib, dtype))
        if last:
            x = x.contiguous(memory_format=lib.channels_last if len(shape) == 4 else lib.channels_last_3d)
        x.requires_grad_()
        for _ in range(2):                       # the second time by the tables that the first one made
            y = lib.nn.functional.interpolate(x, **options)
        y.backward(lib.from_numpy(np.linspace(-1, 1, y.numel()).reshape(tuple(y.shape))).to(y.dtype))
        seen.append((y.detach(), x.grad))
    for a, b in zip(*seen):
        assert tuple(a.stride()) == tuple(b.stride()) or not a.numel()
        np.testing.assert_allclose(b.double().numpy(), a.double().numpy(), atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("scale", [2, 0.5, 1.7, 1, 0.23])
def test_interpolate(dtype, scale):
    for shape, last in (((2, 3, 9, 10), False), ((2, 3, 9, 10), True), ((2, 40, 5, 8), True), ((0, 3, 5, 8), False), ((1, 5, 33, 40), False)):
        for mode in IMAGES:
            both(dtype, shape, last, {"scale_factor": scale, "mode": mode})
    for mode in VOLUMES:
        for last in (False, True):
            both(dtype, (2, 3, 5, 6, 7), last, {"scale_factor": max(scale, 0.5), "mode": mode})
    for mode in LINES:
        both(dtype, (3, 4, 37), False, {"scale_factor": scale, "mode": mode})


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("last", [False, True])
def test_corners_and_filters(dtype, last):
    for mode in ("bilinear", "bicubic"):
        both(dtype, (2, 3, 9, 10), last, {"size": (7, 13), "mode": mode, "align_corners": True})
        if dtype != "bfloat16":
            both(dtype, (2, 3, 9, 10), last, {"size": (4, 13), "mode": mode, "antialias": True})


def bytes_of_torch(data, new, mode, smooth, corners):
    """What PyTorch makes of an image of bytes; None where an assertion of its own fails (sizes of 1, whose order could be either)."""
    try:
        return torch.nn.functional.interpolate(torch.from_numpy(data), new, mode=mode, antialias=smooth, align_corners=corners).numpy()
    except RuntimeError as error:
        assert "INTERNAL ASSERT" in str(error)
        return None


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_images_of_bytes_are_the_same_bytes(mode):
    draw = np.random.default_rng(7)
    for channels in (2, 3, 4, 21):
        for size in ((1, 1), (2, 3), (5, 7), (17, 31), (64, 48)):
            data = draw.integers(0, 256, (2, channels, *size), dtype=np.uint8)
            for new in ((3, 2), (8, 8), (40, 90), (size[0], 20), (20, size[1]), size):
                for last, smooth, corners in ((False, False, False), (False, True, False), (True, False, True), (True, True, False), (True, False, False)):
                    same = bytes_of_torch(data, new, mode, smooth, corners)
                    if same is None:
                        continue
                    x = rt.from_numpy(data)
                    x = x.contiguous(memory_format=rt.channels_last) if last else x
                    y = rt.nn.functional.interpolate(x, new, mode=mode, antialias=smooth, align_corners=corners)
                    assert y.is_contiguous(memory_format=rt.channels_last if last and min(size) > 1 else rt.contiguous_format)
                    np.testing.assert_array_equal(y.numpy(), same)


def test_windows_of_bytes_that_begin_with_a_weight_of_zero():
    # a cubic filter is 0 at a distance of exactly 1 and 2: the windows must still never move back
    draw = np.random.default_rng(8)
    for size in range(2, 24):
        data = draw.integers(0, 256, (1, 3, size, size), dtype=np.uint8)
        for new in (1, 2, 3, 4, 5, 6, 8, 12, 16, 24):
            same = bytes_of_torch(data, (new, new), "bicubic", True, False)
            if same is not None:
                y = rt.nn.functional.interpolate(rt.from_numpy(data), (new, new), mode="bicubic", antialias=True)
                np.testing.assert_array_equal(y.numpy(), same)


def test_bytes_and_gradients_of_gradients():
    x = rt.arange(24, dtype=rt.uint8).reshape(1, 2, 3, 4)
    assert rt.nn.functional.interpolate(x, scale_factor=2).dtype == rt.uint8
    assert rt.equal(rt.nn.functional.interpolate(x, scale_factor=2)[..., ::2, ::2], x)
    y = rt.randn(1, 2, 5, 4, dtype=rt.float64, requires_grad=True)
    for mode in IMAGES:
        def resized(v, mode=mode):
            return rt.nn.functional.interpolate(v, size=(3, 7), mode=mode)
        assert rt.autograd.gradcheck(resized, (y,)) and rt.autograd.gradgradcheck(resized, (y,))


def test_equal_numbers_of_other_kinds_are_still_judged():
    x = rt.ones(1, 1, 4, 4)
    rt.nn.functional.interpolate(x, size=2, mode="bilinear", align_corners=True)
    with pytest.raises(TypeError):
        rt.nn.functional.interpolate(x, size=2.0, mode="bilinear", align_corners=True)
    with pytest.raises(TypeError):
        rt.nn.functional.interpolate(x, size=2, mode="bilinear", align_corners=1)


def test_the_number_of_threads_changes_nothing():
    x, before = rt.randn(3, 8, 61, 67), rt.get_num_threads()
    try:
        for last in (rt.contiguous_format, rt.channels_last):
            for mode in IMAGES:
                got = []
                for threads in (1, 2, 3):
                    rt.set_num_threads(threads)
                    leaf = x.clone(memory_format=last).requires_grad_()
                    y = rt.nn.functional.interpolate(leaf, scale_factor=1.7, mode=mode)
                    (y * y).sum().backward()
                    got += [(y.detach(), leaf.grad)]
                assert all(rt.equal(a, b) for g in got[1:] for a, b in zip(g, got[0]))
            image, seen = (x * 60 + 128).clamp(0, 255).to(rt.uint8).contiguous(memory_format=last), []
            for threads in (1, 2, 3):
                rt.set_num_threads(threads)
                seen.append(rt.nn.functional.interpolate(image, scale_factor=1.7, mode="bicubic", antialias=True))
            assert all(rt.equal(seen[0], y) for y in seen[1:])
    finally:
        rt.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(1, 5, 9, 7, 20, 23), (3, 1, 4, 5, 3, 2), (2, 17, 1, 6, 13, 11), (2, 3, 60, 70, 90, 40)])
def test_samples_of_planes(dtype, aligned, shape, mode, level):
    n, c, h, w, to_h, to_w = shape
    draw = np.random.default_rng(5)
    data, places = draw.standard_normal((n, c, h, w)), draw.standard_normal((n, to_h, to_w, 2)) * 1.3
    seen = []
    for lib in (torch, rt):
        x, grid = (lib.from_numpy(a).to(getattr(lib, dtype)).requires_grad_() for a in (data, places))
        y = lib.nn.functional.grid_sample(x, grid, mode, align_corners=aligned)
        y.backward(lib.from_numpy(np.linspace(-1, 1, y.numel()).reshape(tuple(y.shape))).to(y.dtype))
        seen.append((y.detach(), x.grad, grid.grad))
    for a, b in zip(*seen):
        np.testing.assert_allclose(b.double().numpy(), a.double().numpy(), atol=TOLERANCE[dtype] * 5, rtol=TOLERANCE[dtype] * 5)


@pytest.mark.parametrize("shape", [(2, 5, 7, 9, 6, 25), (1, 3, 4, 1, 3, 3), (3, 2, 20, 30, 5, 31)])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("order", ["contiguous_format", "channels_last"])
def test_samples_outside(shape, mode, padding, aligned, order, level):
    """Paddings and their gradients, at the edges themselves too; images in either order."""
    n, c, h, w, to_h, to_w = shape
    draw = np.random.default_rng(6)
    data, places = draw.standard_normal((n, c, h, w)), draw.uniform(-3, 3, (n, to_h, to_w, 2))
    places[0, 0, 0], places[0, 0, 1], places[0, 1, 0] = 1, -1, 0
    seen = []
    for lib in (torch, rt):
        x, grid = (lib.from_numpy(a) for a in (data, places))
        x = x.contiguous(memory_format=getattr(lib, order)).requires_grad_()
        grid.requires_grad_()
        y = lib.nn.functional.grid_sample(x, grid, mode, padding, aligned)
        y.backward(lib.from_numpy(np.linspace(-1, 1, y.numel()).reshape(tuple(y.shape))))
        seen.append((y.detach(), x.grad, grid.grad))
    for a, b in zip(*seen):
        assert a.stride() == b.stride()
        np.testing.assert_allclose(b.numpy(), a.numpy(), atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_samples_far_away_and_of_no_number(mode):
    x, grid = np.ones((1, 1, 3, 3), np.float32), np.zeros((1, 1, 5, 2), np.float32)
    grid[0, 0, :, 0] = [1e30, -1e30, 5, -1, np.nan]
    got = [lib.nn.functional.grid_sample(lib.from_numpy(x), lib.from_numpy(grid), mode, align_corners=False).numpy() for lib in (torch, rt)]
    np.testing.assert_allclose(got[1], got[0])
    y = rt.randn(2, 2, 4, 3, dtype=rt.float64, requires_grad=True)
    places = (rt.rand(2, 3, 2, 2, dtype=rt.float64) * 2 - 1).requires_grad_()

    def sampled(a, b):
        return rt.nn.functional.grid_sample(a, b, mode, align_corners=False)

    assert rt.autograd.gradcheck(sampled, (y, places)) and rt.autograd.gradgradcheck(sampled, (y, places))
    assert rt.autograd.gradcheck(lambda a: sampled(a, places.detach()), (y,)) and rt.autograd.gradcheck(lambda b: sampled(y.detach(), b), (places,))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("size", [(3, 2, 9, 13), (2, 1, 4, 3, 6), (1, 1, 2, 2)])
def test_grids_of_16_bits(dtype, size):
    n = len(size) - 2
    data = np.random.default_rng(7).standard_normal((size[0], n, n + 1))
    seen = []
    for lib in (torch, rt):
        theta = lib.from_numpy(data).to(getattr(lib, dtype)).requires_grad_()
        y = lib.nn.functional.affine_grid(theta, size, align_corners=False)
        y.sum().backward()
        assert y.dtype == theta.grad.dtype == theta.dtype
        seen.append((y.detach().double().numpy(), theta.grad.double().numpy()))
    for a, b in zip(*seen):
        np.testing.assert_allclose(b, a, atol=0.03, rtol=0.02)
