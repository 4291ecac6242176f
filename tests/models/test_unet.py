"""The U-Net against PyTorch's and against its plain formula, in every form that hyperparameters give it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from nachos_jax.core import rng
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import active
from nachos_jax.models import registry, unet
from nachos_jax.models.blocks import Mode, evaluation

FORMS = {
    "plain": ({}, (12, 16, 2)),
    "odd sides": ({"unet.depth": 2}, (7, 9, 1)),
    "one convolution": ({"unet.convolutions": 0, "unet.multiplier": 1.5}, (8, 8, 1)),
    "residual": ({"unet.convolutions": 1, "unet.residual": True}, (8, 8, 1)),
    "residual, equal widths": ({"unet.residual": True, "unet.multiplier": 1.0}, (8, 8, 8)),
    "volumes": ({"unet.depth": 2}, (6, 4, 8, 1)),
    "flat volumes": ({"unet.flat_levels": 1, "unet.residual": True}, (4, 12, 8, 1)),
}


def hparams(**changes):
    """The defaults of a small U-Net with changes, as flat active hyperparameters."""
    rows = registry.hyperparameters()
    values = {row.name: row.default for row in rows if row.default is not None}
    small = {
        "architecture": "unet",
        "norm": "instance",
        "unet.depth": 3,
        "unet.width": 8,
        "unet.flat_levels": 0,
    }
    return active({**values, **small, **changes}, rows)


def built(chosen, shape, outputs=3, dtype=jnp.float32, lowering="fold", seed=0):
    """The network, with scales and biases that are not 1 and 0."""

    def build(key):
        return registry.build(chosen, shape, outputs, dtype, lowering, nnx.Rngs(params=key))

    graph = nnx.graphdef(nnx.eval_shape(lambda: build(jax.random.key(seed))))
    # One program: operation by operation, each would be compiled alone.
    network = nnx.merge(graph, jax.jit(lambda key: nnx.state(build(key)))(jax.random.key(seed)))
    draw = np.random.default_rng(seed)
    for _, node in nnx.iter_graph(network):
        if type(node) is nnx.Param:
            node[...] = jnp.asarray(1.0 + 0.3 * draw.normal(size=node.shape), jnp.float32)
    return network


def training():
    return Mode(True, 0.0, rng.unused(), {})


def images(*shape, seed=1):
    return jax.random.normal(jax.random.key(seed), shape)


def evaluated(network, x):
    """What a network gives in evaluation, compiled."""
    return jax.jit(lambda x: network(x, evaluation({})))(x)


# --- the same network, written plainly ---------------------------------------------------------------------


def plain_conv(x, kernel):
    space = "012"[: kernel.ndim - 2]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    return lax.conv_general_dilated(x, kernel, (1,) * len(space), "SAME", dimension_numbers=numbers)


def plain_up(x, kernel):
    """XLA's transposed convolution, which turns the kernel round."""
    stride, space = kernel.shape[1:-1], "012"[: kernel.ndim - 2]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    turned = jnp.moveaxis(jnp.flip(kernel, range(1, kernel.ndim - 1)), 0, -2)
    return lax.conv_transpose(x, turned, stride, "VALID", dimension_numbers=numbers)


def plain_stage(stage, x):
    y = x
    for layer, normed in zip(stage.convs, stage.norms, strict=True):
        y = plain_conv(y, layer.kernel[...])
        space = tuple(range(1, y.ndim - 1))
        y = (y - jnp.mean(y, space, keepdims=True)) / jnp.sqrt(jnp.var(y, space, keepdims=True) + 1e-5)
        y = jax.nn.leaky_relu(y * normed.scale[...] + normed.bias[...], 0.01)
    if not stage.residual:
        return y
    return y + (plain_conv(x, stage.skip.kernel[...]) if stage.skip is not None else x)


def plain_unet(network, x):
    passed = []
    for level, stage in enumerate(network.down):
        if level:
            window = (1, *network.strides[level - 1], 1)
            x = lax.reduce_window(x, -jnp.inf, lax.max, window, window, "SAME")
        x = plain_stage(stage, x)
        passed.append(x)
    for level in reversed(range(len(network.strides))):
        skip, up = passed[level], plain_up(x, network.ups[level].kernel[...])
        up = up[:, *(slice(n) for n in skip.shape[1:-1])]
        x = plain_stage(network.merged[level], jnp.concatenate([skip, up], -1))
    return x @ network.last.kernel[...] + network.last.bias[...]


@pytest.mark.parametrize(
    "form",
    [pytest.param(form, marks=[pytest.mark.thorough] * (form != "odd sides")) for form in FORMS],
)
def test_values_and_gradients_are_those_of_the_plain_formula(form):
    changes, shape = FORMS[form]
    network = built(hparams(**changes), shape)
    graph, state = nnx.split(network)
    x = images(2, *shape)

    def loss(state, call):
        out = call(nnx.merge(graph, state))
        return jnp.mean(jnp.sin(out)), out

    @jax.jit
    def both(state):
        mine = jax.value_and_grad(loss, has_aux=True)(state, lambda net: net(x, training()))
        with jax.numpy_rank_promotion("allow"):
            return mine, jax.value_and_grad(loss, has_aux=True)(state, lambda net: plain_unet(net, x))

    ((_, out), slope), ((_, wanted), steep) = both(state)
    assert out.shape == (2, *shape[:-1], 3)
    np.testing.assert_allclose(out, wanted, atol=2e-5)
    for mine, theirs in zip(jax.tree.leaves(slope), jax.tree.leaves(steep), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5 + 1e-4 * float(jnp.abs(theirs).max()))


@pytest.mark.parametrize("axes", [2, pytest.param(3, marks=pytest.mark.thorough)])
def test_it_is_the_network_of_the_benchmark_in_pytorch(axes):
    torch = pytest.importorskip("torch")
    from benchmarks.speed.torch_unet import torch_unet

    shape = (*[8] * axes, 2)
    network = built(hparams(), shape)
    assert isinstance(network, unet.UNet)
    twin = torch_unet(axes, (8, 16, 32), 2, 3)
    with torch.no_grad():
        for theirs, array in zip(twin.parameters(), in_the_order_of_pytorch(network), strict=True):
            theirs.copy_(torch.from_numpy(np.array(array)))
        x = images(2, *shape)
        wanted = twin(torch.from_numpy(np.array(x)).movedim(-1, 1)).movedim(1, -1).numpy()
    np.testing.assert_allclose(evaluated(network, x), wanted, atol=1e-5)


def in_the_order_of_pytorch(network):
    """Our arrays in the order and the axes of the parameters of `torch_unet`."""

    def stages(found):
        for stage in found:
            for layer, normed in zip(stage.convs, stage.norms, strict=True):
                yield np.moveaxis(np.asarray(layer.kernel[...]), (-1, -2), (0, 1))
                yield np.asarray(normed.scale[...])
                yield np.asarray(normed.bias[...])

    yield from stages(network.down)
    for up in network.ups:
        yield np.moveaxis(np.asarray(up.kernel[...]), -1, 1)
    yield from stages(network.merged)
    weights = np.asarray(network.last.kernel[...]).T
    yield weights.reshape(*weights.shape, *[1] * len(network.axes))
    yield np.asarray(network.last.bias[...])


# --- the contract of an architecture -----------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize(
    "norm", [*(pytest.param(n, marks=pytest.mark.thorough) for n in ("batch", "group")), "instance"]
)
def test_steps_lower_the_loss_and_evaluation_changes_nothing(norm):
    shape = (8, 8, 1)
    network = built(hparams(norm=norm, **{"unet.depth": 2}), shape, outputs=2)
    graph, params, stats, rest = nnx.split(network, nnx.Param, nnx.BatchStat, ...)
    assert not jax.tree.leaves(rest)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((params, stats)))
    assert bool(jax.tree.leaves(stats)) == (norm == "batch")
    x = images(4, *shape)
    bright = jax.nn.one_hot((x[..., 0] > 0).astype(jnp.int32), 2)

    def loss(params, stats):
        net = nnx.merge(graph, params, stats, copy=True)
        out = net(x, training())
        return -jnp.mean(jnp.sum(bright * jax.nn.log_softmax(out), -1)), nnx.state(net, nnx.BatchStat)

    @jax.jit
    def train(params, stats):
        def step(carry, _):
            (value, stats), slope = jax.value_and_grad(loss, has_aux=True)(*carry)
            return (jax.tree.map(lambda p, s: p - 0.1 * s, carry[0], slope), stats), value

        return lax.scan(step, (params, stats), None, length=8)

    (params, stats), losses = train(params, stats)
    assert np.all(np.isfinite(losses))
    assert losses[-1] < 0.95 * losses[0]
    trained = nnx.merge(graph, params, stats, copy=True)
    trained(x, evaluation({}))
    for before, now in zip(
        jax.tree.leaves(stats), jax.tree.leaves(nnx.state(trained, nnx.BatchStat)), strict=True
    ):
        np.testing.assert_array_equal(before, now)


@pytest.mark.thorough
@pytest.mark.parametrize("lowering", ["lax", "slab", "fold"])
def test_lanes_give_what_they_give_alone(lowering):
    shape, keys = (8, 6, 1), jax.random.split(jax.random.key(5), 3)
    chosen = hparams(**{"unet.depth": 2})

    def run(key):
        net = registry.build(chosen, shape, 2, jnp.float32, lowering, nnx.Rngs(params=key))
        return net(images(2, *shape), training())

    alone = jax.jit(run)
    vectorised, in_turn = jax.jit(lambda keys: (jax.vmap(run)(keys), lax.map(run, keys)))(keys)
    for lane, key in enumerate(keys):
        np.testing.assert_allclose(vectorised[lane], alone(key), atol=1e-5)
        np.testing.assert_allclose(in_turn[lane], alone(key), atol=1e-5)


def test_a_slice_is_an_image_wherever_its_axis_lies():
    chosen = hparams(**{"unet.depth": 2, "unet.flat_levels": 2})
    x = images(2, 8, 12, 1)
    image, first, last = (
        evaluated(built(chosen, shape), x.reshape(2, *shape))
        for shape in ((8, 12, 1), (1, 8, 12, 1), (8, 12, 1, 1))
    )
    assert first.shape == (2, 1, 8, 12, 3)
    np.testing.assert_array_equal(first[:, 0], image)
    np.testing.assert_array_equal(last[:, :, :, 0], image)


@pytest.mark.thorough
def test_turned_patches_have_turned_shapes():
    for shape in ((8, 12, 1), (12, 8, 1), (8, 12, 10, 2), (12, 10, 8, 2)):
        x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
        out = jax.eval_shape(lambda x, shape=shape: built(hparams(), shape)(x, evaluation({})), x)
        assert out.shape == (2, *shape[:-1], 3)


def test_dropout_changes_training_alone():
    network = built(hparams(**{"unet.depth": 2}), (8, 8, 1))
    x = images(2, 8, 8, 1)
    key = jax.random.key(0)
    modes = [Mode(True, jnp.float32(0.5), key, {}), training()]
    modes += [Mode(False, jnp.float32(0.5), key, {}), evaluation({})]
    dropped, whole, told, seen = jax.jit(lambda x: [network(x, mode) for mode in modes])(x)
    assert np.any(dropped != whole)
    np.testing.assert_array_equal(told, seen)


@pytest.mark.thorough
def test_bfloat16_stays_near_float32():
    x = images(2, 16, 16, 1)
    out = [evaluated(built(hparams(), (16, 16, 1), dtype=dtype), x) for dtype in (jnp.float32, jnp.bfloat16)]
    assert out[1].dtype == jnp.float32
    np.testing.assert_allclose(out[1], out[0], atol=0.25)
    assert np.any(out[1] != out[0])


# --- widths, and what is refused ---------------------------------------------------------------------------


def test_widths_follow_the_multiplier_within_bounds():
    def widths(shape, **changes):
        chosen = hparams(**{f"unet.{name}": value for name, value in changes.items()})
        network = nnx.eval_shape(lambda: built(chosen, shape))
        assert isinstance(network, unet.UNet)
        return [stage.convs[0].kernel.shape[-1] for stage in network.down]

    assert widths((32, 32, 1), depth=4, width=16) == [16, 32, 64, 128]
    assert widths((32, 32, 1), depth=4, width=10, multiplier=1.5) == [10, 15, 22, 34]
    assert widths((32, 32, 1), depth=4, width=8, multiplier=0.5) == [8, 4, 4, 4]
    assert widths((64, 64, 1), depth=5, width=128, multiplier=3.0) == [128, 384, 512, 512, 512]
    assert widths((8, 8, 8, 1), depth=3, width=128) == [128, 256, 320]


@pytest.mark.parametrize(
    ("depth", "shape", "message"),
    [
        (
            6,
            (32, 48, 32, 1),
            r"unet.depth = 6: patches of 32 x 48 x 32 pixels can be halved 4 times .* to 5 or",
        ),
        (3, (4, 4, 1), r"halved 1 times .* lower unet.depth to 2 or less, or take larger patches"),
        (2, (3, 3, 1), r"unet.depth = 2: patches of 3 x 3 pixels can be halved 0 times \(.*\); take larger"),
        (2, (1, 1, 1), "halved 0 times"),
        (2, (28, 28), r"takes images \[H, W, C\] and volumes .* shape \[28, 28\]: choose another"),
        (2, (30,), "choose another"),
    ],
)
def test_patches_that_do_not_suit_are_refused(depth, shape, message):
    with pytest.raises(UsageError, match=message):
        registry.check(hparams(**{"unet.depth": depth}), shape)


@pytest.mark.thorough
def test_what_is_not_refused_can_be_built():
    for depth, shape in ((5, (32, 48, 32, 1)), (2, (4, 4, 1)), (6, (1, 64, 64, 3)), (3, (3, 20, 20, 1))):
        chosen = hparams(**{"unet.depth": depth})
        registry.check(chosen, shape)
        x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        out = jax.eval_shape(lambda x, c=chosen, s=shape: built(c, s)(x, evaluation({})), x)
        assert out.shape == (1, *shape[:-1], 3)


def test_the_registry_knows_who_gives_maps():
    assert [name for name in registry.names() if registry.maps(name)] == ["unet"]
