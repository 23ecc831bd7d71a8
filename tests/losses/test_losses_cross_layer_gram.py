"""Cross-layer Gram loss: the pair inside small networks, against plain loops, complex steps and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from loss_reference import gradient_of

from nst_manual import nn
from nst_manual.check import gradcheck
from nst_manual.errors import ShapeError, UsageError
from nst_manual.kernels import moments
from nst_manual.losses import ContentLoss, StyleLoss, gram
from nst_manual.losses.cross_layer_gram import CrossLayerGramLoss, CrossLayerTarget, cross_layer_losses

both_forms = pytest.mark.parametrize("form", ["paper", "mean"])
STEP = 1e-30
# size of the lower layer, of the upper, stride: even, floor pooling, ceil pooling, none, two poolings at once
SIZES = [
    ((8, 6), (4, 3), 2),
    ((13, 9), (6, 4), 2),
    ((13, 9), (7, 5), 2),
    ((5, 4), (5, 4), 1),
    ((15, 17), (3, 4), 4),
    ((7, 1), (3, 1), 2),
    ((11, 9), (4, 4), 2),
]
sizes = pytest.mark.parametrize(("size", "small", "stride"), SIZES)


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def conv(channels, out, seed):
    """A 3x3 convolution with random weights, in float64."""
    return nn.Conv2d(
        channels, out, 3, padding=1, parameters=(draw(seed, 3, 3, channels, out), draw(seed, out))
    )


def network(pool, target, weight=30.0, form="mean", inner=()):
    """Return conv relu LOWER conv relu inner pool conv relu UPPER conv."""
    lower, upper = cross_layer_losses(target, weight, form)
    layers = [conv(2, 3, 1), nn.ReLU(), lower, conv(3, 3, 2), nn.ReLU(), *inner, pool]
    return nn.Sequential(*layers, conv(3, 4, 3), nn.ReLU(), upper, conv(4, 2, 4))


def pulled(net, x):
    """Return a copy of dloss/dx of a network."""
    y = net.update_output(x)
    return net.update_grad_input(x, np.zeros_like(y)).copy()


def target_for(stride=2, seed=9):
    return CrossLayerTarget(draw(seed, 3, 4), stride)


def matrix_by_loops(f, u, stride):
    """Mean of F_pc U_qd over the positions p of F whose q = p // stride is in U, and how many there are."""
    found, positions = np.zeros((f.shape[2], u.shape[2])), 0
    for h, w in np.ndindex(f.shape[:2]):
        if h // stride < u.shape[0] and w // stride < u.shape[1]:
            positions += 1
            for c, d in np.ndindex(found.shape):
                found[c, d] += f[h, w, c] * u[h // stride, w // stride, d]
    return found / positions


def loss_by_loops(f, u, target, form):
    value = 0.0
    for n in range(len(f)):
        g = matrix_by_loops(f[n], u[n], target.stride)
        for c, d in np.ndindex(g.shape):
            if form == "paper":
                value += (g[c, d] - target.gram[c, d]) ** 2 / (4 * g.size)
            else:
                value += (g[c, d] / np.sqrt(g.size) - target.gram[c, d]) ** 2 / g.size
    return value


def by_hand(pair, f, u):
    """Loss, dL/dF and dL/dU of features that no network lies between."""
    lower, upper = pair
    lower.update_output(f)
    upper.update_output(u)
    du = upper.update_grad_input(u, np.zeros_like(u)).copy()
    return upper.loss, lower.update_grad_input(f, np.zeros_like(f)).copy(), du


@both_forms
@sizes
def test_value_is_that_of_plain_loops(form, size, small, stride):
    f, u, target = draw(0, 2, *size, 3), draw(1, 2, *small, 4), target_for(stride)
    lower, upper = cross_layer_losses(target, 0.6, form)
    assert lower.update_output(f) is f
    assert upper.update_output(u) is u
    assert upper.loss == pytest.approx(0.6 * loss_by_loops(f, u, target, form), rel=1e-12)
    assert type(upper.loss) is float
    assert lower.loss == 0


@both_forms
@sizes
def test_every_element_of_both_gradients(form, size, small, stride):
    f, u = draw(0, 1, *size, 3), draw(1, 1, *small, 4)
    pair = cross_layer_losses(target_for(stride), 1.7, form)
    _, df, du = by_hand(pair, f, u)
    for features, got in ((f, df), (u, du)):
        expected = np.zeros(features.shape)
        for index in np.ndindex(features.shape):
            moved = features.astype(complex)
            moved[index] += 1j * STEP
            pair[0].update_output(moved if features is f else f)
            pair[1].update_output(moved if features is u else u)
            expected[index] = pair[1].loss.imag / STEP
        assert np.linalg.norm(got - expected) <= 1e-12 * np.linalg.norm(expected)


@both_forms
@sizes
def test_pytorch_agrees_with_features_repeated(form, size, small, stride):
    torch = pytest.importorskip("torch")
    f, u, target = draw(0, 2, *size, 3), draw(1, 2, *small, 4), target_for(stride)
    loss, df, du = by_hand(cross_layer_losses(target, 1.3, form), f, u)
    tf, tu = torch.tensor(f, requires_grad=True), torch.tensor(u, requires_grad=True)
    up = tu.repeat_interleave(stride, 1).repeat_interleave(stride, 2)[:, : size[0], : size[1]]
    seen = tf[:, : up.shape[1], : up.shape[2]]
    g = torch.einsum("nhwc,nhwd->ncd", seen, up) / (up.shape[1] * up.shape[2])
    if form == "mean":
        g = g / 12**0.5
    square = ((g - torch.tensor(target.gram)) ** 2).mean((1, 2)).sum()
    expected = 1.3 * square / (4 if form == "paper" else 1)
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-12)
    assert np.linalg.norm(df - tf.grad.numpy()) <= 1e-12 * np.linalg.norm(df)
    assert np.linalg.norm(du - tu.grad.numpy()) <= 1e-12 * np.linalg.norm(du)


@pytest.mark.parametrize(("pool", "side"), [("average", 9), ("max", 8), ("max", 9), ("ceil", 9)])
def test_gradcheck_of_the_network_between(pool, side):
    pools = {
        "average": nn.AvgPool2d(2),
        "max": nn.MaxPool2d(2),
        "ceil": nn.MaxPool2d(2, ceil_mode=True),
    }
    report = gradcheck(network(pools[pool], target_for()), draw(side, 1, side, 5, 2))
    assert report.passed, str(report)


def test_pairs_in_a_row_share_the_layer_between():
    # one layer is the upper of a pair and the lower of the next, as the style layers of a network are
    first, second = network(nn.MaxPool2d(2), target_for()), CrossLayerTarget(draw(11, 4, 2), 2)
    lower, upper = cross_layer_losses(second, 20.0, "mean")
    net = nn.Sequential(*list(first)[:-1], lower, nn.AvgPool2d(2), conv(4, 2, 4), nn.ReLU(), upper)
    report = gradcheck(net, draw(0, 1, 9, 6, 2))
    assert report.passed, str(report)
    assert sum(module.loss > 0 for module in net) == 2


def test_one_pass_from_zero_is_the_gradient_of_the_loss():
    # nothing but the pair pulls: what both of its halves add, and nothing else
    x = draw(0, 2, 13, 9, 2)
    net = network(nn.MaxPool2d(2), target_for())
    dx = pulled(net, x)
    for seed in range(4):
        v = draw(seed + 20, *x.shape)
        net.update_output(x + 1j * STEP * v)
        slope = net.loss.imag / STEP
        assert abs(slope) > 1e-6
        assert abs(slope - np.sum(dx * v)) <= 1e-12 * np.sum(np.abs(dx * v))


def test_pytorch_agrees_on_the_network():
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    x, target = draw(0, 1, 13, 11, 2), target_for()
    net = network(nn.MaxPool2d(2), target)
    dx = pulled(net, x)
    convs = [module for module in net if isinstance(module, nn.Conv2d)][:3]
    w = [torch.tensor(conv.weight).permute(3, 2, 0, 1) for conv in convs]
    b = [torch.tensor(conv.bias) for conv in convs]
    t = torch.tensor(x, requires_grad=True)
    f = functional.conv2d(t.permute(0, 3, 1, 2), w[0], b[0], padding=1).relu()
    u = functional.max_pool2d(functional.conv2d(f, w[1], b[1], padding=1).relu(), 2)
    u = functional.conv2d(u, w[2], b[2], padding=1).relu()
    up = functional.interpolate(u, scale_factor=2, mode="nearest")
    g = torch.einsum("nchw,ndhw->cd", f[..., :12, :10], up) / (120 * 12**0.5)
    loss = 30 * ((g - torch.tensor(target.gram)) ** 2).mean()
    loss.backward()
    assert net.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    assert np.linalg.norm(dx - t.grad.numpy()) <= 1e-11 * np.linalg.norm(dx)


def test_other_losses_between():
    style, content = StyleLoss(draw(1, 3, 3), 5.0), ContentLoss(draw(2, 1, 8, 7, 3), 0.1)
    net = network(nn.AvgPool2d(2), target_for(), inner=[style, content])
    report = gradcheck(net, draw(0, 1, 8, 7, 2))
    assert report.passed, str(report)
    losses = [module.loss for module in net]
    assert sum(loss > 0 for loss in losses) == 3  # the pair's once
    assert net.loss == pytest.approx(sum(losses), rel=1e-14)


@pytest.mark.parametrize("shape", [(1, 12, 10, 2), (1, 13, 9, 2), (2, 9, 8, 2)])
def test_a_fused_network_that_shares_memory_gives_the_same(shape, monkeypatch):
    # every output that can be made again is; the lower half must not look at x after its turn
    monkeypatch.setattr("nst_manual.nn.plan.REMAKE_BYTES", 0)
    plain = network(nn.MaxPool2d(2), target_for())
    x = draw(0, *shape)
    expected, loss = pulled(plain, x), plain.loss
    fused = nn.fuse(network(nn.MaxPool2d(2), target_for()))
    for _ in range(2):
        np.testing.assert_allclose(pulled(fused, x), expected, rtol=1e-10, atol=1e-12)
        assert fused.loss == pytest.approx(loss, rel=1e-12)
    assert fused.plan is not None


def test_the_lower_half_looks_at_its_features_in_its_turn_alone():
    # a network that shares memory may have put something else there by then
    f, u = draw(0, 1, 13, 9, 3), draw(1, 1, 6, 4, 4)
    lower, upper = pair = cross_layer_losses(target_for())
    loss, df, du = by_hand(pair, f, u)
    there = f.copy()
    lower.update_output(there)
    there[...] = np.nan
    upper.update_output(u)
    assert upper.loss == loss
    np.testing.assert_array_equal(upper.update_grad_input(u, np.zeros_like(u)), du)
    np.testing.assert_array_equal(lower.update_grad_input(there, np.zeros_like(f)), df)


def test_forward_only_passes_between_change_nothing():
    net, x = network(nn.MaxPool2d(2), target_for()), draw(0, 1, 13, 9, 2)
    expected, loss = pulled(net, x), net.loss
    for other in (draw(1, 1, 13, 9, 2), draw(2, 2, 8, 20, 2)):
        net.update_output(other)
        assert net.loss != loss
    np.testing.assert_array_equal(pulled(net, x), expected)
    assert net.loss == loss
    net.upto("relu4").update_output(x[:, :8])  # the lower half alone
    np.testing.assert_array_equal(pulled(net, x), expected)


def test_the_way_back_may_be_gone_twice():
    net, x = network(nn.MaxPool2d(2), target_for()), draw(0, 1, 13, 9, 2)
    once = pulled(net, x)
    again = net.update_grad_input(x, np.zeros_like(net.output))
    np.testing.assert_array_equal(again, once)


@both_forms
def test_a_layer_beside_itself_is_the_style_loss(form):
    x, painting = draw(0, 1, 4, 5, 3), draw(1, 1, 3, 6, 3)
    target = CrossLayerGramLoss.target_of(painting, painting, form)
    assert target.stride == 1
    np.testing.assert_allclose(target.gram, gram(painting, form)[0], rtol=1e-13)
    loss, df, du = by_hand(cross_layer_losses(target, 1.2, form), x, x)
    style = StyleLoss(target.gram, 1.2, form)
    np.testing.assert_allclose(df + du, gradient_of(style, x), rtol=1e-11, atol=1e-15)
    assert loss == pytest.approx(style.loss, rel=1e-12)


@both_forms
@sizes
def test_target_is_that_of_plain_loops_and_costs_nothing(form, size, small, stride):
    f, u = draw(0, 1, *size, 3), draw(1, 1, *small, 4)
    target = CrossLayerGramLoss.target_of(f, u, form, stride)
    expected = matrix_by_loops(f[0], u[0], stride) / (1 if form == "paper" else 12**0.5)
    np.testing.assert_allclose(target.gram, expected, rtol=1e-12, atol=1e-14)
    loss, df, du = by_hand(cross_layer_losses(target, 2.0, form), f, u)
    assert loss == 0
    assert not df.any()
    assert not du.any()


def test_the_same_pattern_twice_costs_nothing():
    f, u = draw(0, 1, 8, 6, 3), draw(1, 1, 4, 3, 4)
    pair = cross_layer_losses(CrossLayerGramLoss.target_of(f, u))
    loss, df, du = by_hand(pair, *(np.concatenate([a, a], axis=1) for a in (f, u)))
    assert loss < 1e-28
    assert max(np.abs(df).max(), np.abs(du).max()) < 1e-14


def test_where_the_stride_divides_it_is_the_matrix_of_averages():
    f, u = draw(0, 1, 8, 6, 3), draw(1, 1, 4, 3, 4)
    averages = f.reshape(1, 4, 2, 3, 2, 3).mean(axis=(2, 4))
    expected = averages.reshape(12, 3).T @ u.reshape(12, 4) / 12
    np.testing.assert_allclose(CrossLayerGramLoss.target_of(f, u).gram, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("size", "small", "stride"),
    [((512, 340), (256, 170), 2), ((341, 255), (170, 127), 2), ((341, 255), (171, 128), 2),
     ((55, 41), (27, 20), 2), ((63, 31), (15, 7), 4), ((40, 30), (40, 30), 1), ((20, 1), (10, 1), 2)],
)  # fmt: skip
def test_the_stride_is_read_off_the_sizes(size, small, stride):
    target = CrossLayerGramLoss.target_of(np.ones((1, *size, 1)), np.ones((1, *small, 1)))
    assert target.stride == stride
    np.testing.assert_allclose(target.gram, 1, rtol=1e-12)


@pytest.mark.parametrize("values", [1, 20, 2**17])
@pytest.mark.parametrize("stride", [1, 2, 3, 9])
def test_sums_over_cells_and_their_adjoint(stride, values, monkeypatch):
    monkeypatch.setattr("nst_manual.kernels.moments.BAND_VALUES", values)
    x = draw(0, 2, 7, 8, 3)
    y = moments.cell_sums(x, stride)
    expected = np.zeros((2, -(-7 // stride), -(-8 // stride), 3))
    for n, h, w in np.ndindex(2, 7, 8):
        expected[n, h // stride, w // stride] += x[n, h, w]
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
    dy, dx = draw(1, *y.shape), draw(2, *x.shape)
    out = dx.copy()
    moments.add_to_cells(dy, stride, out=out)
    assert np.sum((out - dx) * x) == pytest.approx(np.sum(dy * y), rel=1e-12)
    small = dy[:, :1, :1]  # of fewer cells: the rest is left as it is
    moments.add_to_cells(small, stride, out=dx)
    np.testing.assert_array_equal(out[:, :stride, :stride], dx[:, :stride, :stride])
    np.testing.assert_array_equal(dx[:, stride:], draw(2, *x.shape)[:, stride:])


def test_gradients_are_added_to_memory_of_any_layout():
    f, u = draw(0, 1, 13, 9, 3), draw(1, 1, 6, 4, 4)
    lower, upper = pair = cross_layer_losses(target_for())
    _, df, du = by_hand(pair, f, u)
    for module, x, dx in ((upper, u, du), (lower, f, df)):
        apart = np.full(tuple(2 * side for side in x.shape), 99.0)[:, ::2, ::-2, ::2][:1]
        apart[...] = 1
        module.add_gradient(x, apart)
        np.testing.assert_allclose(apart, 1 + dx, rtol=1e-13)


def test_in_place_the_gradients_are_added_to_dy_itself():
    f, u = draw(0, 1, 13, 9, 3), draw(1, 1, 6, 4, 4)
    pair = cross_layer_losses(target_for())
    _, df, du = by_hand(pair, f, u)
    for module, x, dx in ((pair[1], u, du), (pair[0], f, df)):
        module.in_place = True
        dy = np.zeros_like(x)
        assert module.update_grad_input(x, dy) is dy
        np.testing.assert_array_equal(dy, dx)


def test_float32_is_right_to_its_precision():
    f, u = (draw(n, *shape).astype(np.float32) for n, shape in enumerate([(1, 81, 60, 3), (1, 40, 30, 4)]))
    target = CrossLayerGramLoss.target_of(f[:, 40:] + 1, u[:, 20:])
    assert target.gram.dtype == np.float32
    single = by_hand(cross_layer_losses(target), f, u)
    double = by_hand(
        cross_layer_losses(target._replace(gram=target.gram.astype(float))), *map(np.float64, (f, u))
    )
    assert single[0] == pytest.approx(double[0], rel=1e-5)
    for got, expected in zip(single[1:], double[1:], strict=True):
        assert got.dtype == np.float32
        assert np.linalg.norm(got - expected) <= 1e-5 * np.linalg.norm(expected)


def test_several_paintings():
    targets = [target_for(seed=seed) for seed in range(2)]
    blended = CrossLayerGramLoss.blend(targets, [0.75, 0.25])
    np.testing.assert_allclose(blended.gram, 0.75 * targets[0].gram + 0.25 * targets[1].gram, rtol=1e-14)
    assert blended.stride == 2
    with pytest.raises(UsageError, match=r"expected one stride, got \[2, 3\]"):
        CrossLayerGramLoss.blend([target_for(2), target_for(3)], [0.5, 0.5])


def test_a_half_without_the_other_is_told():
    f, u = draw(0, 1, 12, 9, 3), draw(1, 1, 6, 4, 4)
    lower, upper = cross_layer_losses(target_for())
    with pytest.raises(UsageError, match="its lower half has not seen these images"):
        upper.update_output(u)
    lower.update_output(f)
    with pytest.raises(UsageError, match="its lower half has not seen these images"):
        upper.update_output(np.concatenate([u, u]))
    upper.update_output(u)
    with pytest.raises(UsageError, match="its upper half has not run backward"):
        lower.update_grad_input(f, f)
    upper.update_grad_input(u, u)
    lower.update_output(f)  # what came down belongs to the features before
    with pytest.raises(UsageError, match="its upper half has not run backward"):
        lower.update_grad_input(f, f)


def test_what_does_not_fit_is_refused():
    lower, upper = cross_layer_losses(target_for())
    for module, channels in ((lower, 3), (upper, 4)):
        with pytest.raises(ShapeError, match=f"expected {channels} channels"):
            module.update_output(np.zeros((1, 6, 4, 1)))
        with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\)"):
            module.update_output(np.zeros((6, 4, channels)))
    lower.update_output(np.zeros((1, 32, 32, 3)))
    for side in (4, 64):  # a stride of 8, and one of 1/2
        with pytest.raises(ShapeError, match=r"about \(16, 16\) positions at the upper layer"):
            upper.update_output(np.zeros((1, side, side, 4)))
    with pytest.raises(UsageError, match="did you mean 'paper'"):
        cross_layer_losses(target_for(), form="papr")
    for target in (CrossLayerTarget(np.zeros(3), 2), CrossLayerTarget(np.zeros((3, 4)), 0)):
        with pytest.raises(ShapeError, match=r"expected \(C, D\) and a stride"):
            cross_layer_losses(target)
    for f, u in (((5, 4, 3), (1, 5, 4, 3)), ((2, 5, 4, 3), (1, 5, 4, 3))):
        with pytest.raises(ShapeError, match=r"expected \(N, H, W, C\) and \(N, h, w, D\)"):
            CrossLayerGramLoss.target_of(np.zeros(f), np.zeros(u))


def test_state_and_print():
    net, x = network(nn.MaxPool2d(2), target_for(), 1.7), draw(0, 1, 13, 9, 2)
    expected = pulled(net, x)
    lower, upper = (module for module in net if type(module).__module__.endswith("cross_layer_gram"))
    assert repr(lower) == "CrossLayerFeatures(stride=2)"
    assert repr(upper) == "CrossLayerGramLoss(mean, stride=2, weight=1.7)"
    net.clear_state()
    assert lower.sums is lower.pull is upper.difference is None
    np.testing.assert_array_equal(pulled(net, x), expected)
