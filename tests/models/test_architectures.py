"""Every architecture builds, splits into pure state and learns; the known ones match PyTorch."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sklearn.neural_network import MLPClassifier

from nachos_jax.core import rng
from nachos_jax.core.errors import UsageError
from nachos_jax.core.hparams import active
from nachos_jax.models import cnn, registry, resnet
from nachos_jax.models.blocks import Mode, evaluation
from tests.tiers import mostly_thorough


def hparams(**changes):
    """The defaults with changes, e.g. resnet_depth=50, as flat active hyperparameters."""
    rows = registry.hyperparameters()
    values = {row.name: row.default for row in rows if row.default is not None}
    values.update({name.replace("_", ".", 1) if "_" in name else name: v for name, v in changes.items()})
    return active(values, rows)


def training(rate: jax.Array | float = 0.0, key: jax.Array | None = None) -> Mode:
    """The mode of a training step."""
    return Mode(True, rate, rng.unused() if key is None else key, {})


SMALL = [
    *(
        {"architecture": "cnn", "norm": n, "cnn_stages": s, "cnn_width": 4}
        for n in ("batch", "group")
        for s in (1, 4)
    ),
    *(
        {
            "architecture": "resnet",
            "norm": n,
            "resnet_depth": d,
            "resnet_version": v,
            "resnet_stem": s,
            "resnet_width": 4,
        }
        for n, d, v, s in [
            ("group", 18, 2, "large"),
            ("batch", 50, 1, "small"),
        ]
    ),
]
VOLUMES = [(changes, (5, 9, 8, 2)) for changes in (SMALL[0], SMALL[-1])]
QUICK = (0, len(SMALL) - 2, len(SMALL))
"""Places of a CNN, of a ResNet with its larger stem, and of a CNN of volumes: `make test` trains these."""


def pieces(chosen, shape, outputs, dtype=jnp.float32):
    """Graph definition, and a compiled function from a key to (parameters, running statistics, rest)."""

    def build(key):
        return registry.build(chosen, shape, outputs, dtype, "custom", nnx.Rngs(params=key))

    graph = nnx.graphdef(nnx.eval_shape(lambda: build(jax.random.key(0))))
    return graph, jax.jit(lambda key: nnx.split(build(key), nnx.Param, nnx.BatchStat, ...)[1:])


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        pytest.param(changes, shape, marks=[pytest.mark.thorough] * (place not in QUICK))
        for place, (changes, shape) in enumerate([*((one, (28, 28, 1)) for one in SMALL), *VOLUMES])
    ],
    ids=lambda c: "-".join(map(str, c.values() if isinstance(c, dict) else c)),
)
def test_builds_and_a_step_lowers_the_loss(changes, shape, monkeypatch):
    # The same blocks, fewer of them: compiling all 16 of 50 layers takes ten seconds.
    monkeypatch.setattr(resnet, "_BLOCKS", dict.fromkeys(resnet._BLOCKS, (2, 1, 1, 1)))
    graph, create = pieces(hparams(**changes), shape, 3)
    params, stats, rest = create(jax.random.key(0))
    assert not jax.tree.leaves(rest), "state beside parameters and running statistics"
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((params, stats)))
    x = jax.random.normal(jax.random.key(1), (8, *shape))
    goal = jax.nn.one_hot(jnp.arange(8) % 3, 3)

    def loss(params, stats):
        # A copy, because the running statistics belong to the trace outside the gradient.
        net = nnx.merge(graph, params, stats, copy=True)
        logits = net(x, training())
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * goal, axis=-1)), nnx.state(net, nnx.BatchStat)

    @jax.jit
    def train(params, stats):
        def step(carry, _):
            (value, stats), slope = jax.value_and_grad(loss, has_aux=True)(*carry)
            return (jax.tree.map(lambda p, s: p - 0.02 * s, carry[0], slope), stats), value

        return jax.lax.scan(step, (params, stats), None, length=5)

    @jax.jit
    def evaluate(params, stats, rate, key):
        net = nnx.merge(graph, params, stats)
        return net(x, Mode(False, rate, key, {})), nnx.state(net, nnx.BatchStat)

    (after, moved), losses = train(params, stats)
    assert np.all(np.isfinite(losses))
    assert losses[-1] < losses[0]
    outputs, untouched = evaluate(after, moved, 0.5, jax.random.key(3))
    assert outputs.shape == (8, 3)
    assert outputs.dtype == jnp.float32
    np.testing.assert_array_equal(outputs, evaluate(after, moved, 0.9, jax.random.key(4))[0])
    for before, now in zip(jax.tree.leaves(moved), jax.tree.leaves(untouched), strict=True):
        np.testing.assert_array_equal(before, now)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("depth", "version", "stem"),
    [(18, 1, "small"), (18, 2, "large"), (34, 2, "small"), (50, 1, "large"), (50, 2, "small")],
)
def test_resnets_give_outputs(depth, version, stem):
    changes = {"resnet_depth": depth, "resnet_version": version, "resnet_stem": stem, "resnet_width": 4}
    chosen = hparams(architecture="resnet", **changes)

    def run(x):
        net = registry.build(
            chosen, x.shape[1:], 2, jnp.float32, "custom", nnx.Rngs(params=jax.random.key(0))
        )
        return net(x, training(0.1, jax.random.key(1)))

    out = jax.eval_shape(run, jax.ShapeDtypeStruct((5, 28, 31, 3), jnp.float32))
    assert out.shape == (5, 2)


@pytest.mark.thorough
def test_lanes_are_stacked_and_vectorised():
    chosen = hparams(architecture="cnn", cnn_stages=2, cnn_width=4)

    graph, create = pieces(chosen, (12, 12, 1), 2)
    x = jax.random.normal(jax.random.key(9), (4, 12, 12, 1))
    keys = jax.random.split(jax.random.key(5), 3)

    def run(state, rate, key):
        return nnx.merge(graph, *state)(x, training(rate, key))

    lanes = jax.jit(jax.vmap(create))(keys)
    alone = jax.jit(run)
    rates = jnp.array([0.0, 0.4, 0.8])
    together = jax.jit(jax.vmap(run))(lanes, rates, keys)
    for lane, key in enumerate(keys):
        np.testing.assert_allclose(together[lane], alone(create(key), rates[lane], key), atol=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_bfloat16_stays_near_float32(norm):
    x = jax.random.normal(jax.random.key(1), (4, 28, 28, 3))
    out = {}
    for dtype in (jnp.float32, jnp.bfloat16):
        graph, create = pieces(hparams(norm=norm), (28, 28, 3), 2, dtype)
        state = create(jax.random.key(0))
        out[dtype] = jax.jit(lambda s, graph=graph: nnx.merge(graph, *s)(x, training()))(state)
        assert out[dtype].dtype == jnp.float32
    np.testing.assert_allclose(out[jnp.bfloat16], out[jnp.float32], atol=0.1)
    assert np.any(out[jnp.bfloat16] != out[jnp.float32])


@pytest.mark.parametrize("changes", [{"mlp_layers": 2, "mlp_width": 5}, {"mlp_layers": 1, "mlp_width": 3}])
def test_an_mlp_is_the_one_of_scikit_learn(changes):
    graph, create = pieces(hparams(architecture="mlp", **changes), (4,), 3)
    params, stats, rest = create(jax.random.key(0))
    assert not jax.tree.leaves((stats, rest))
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    twin: Any = MLPClassifier([changes["mlp_width"]] * changes["mlp_layers"], max_iter=1, random_state=0)
    with warnings.catch_warnings(action="ignore"):
        twin.fit(x, np.arange(6) % 3)
    layers = [*dict(params["hidden"]).values(), params["last"]]
    twin.coefs_ = [np.asarray(layer["kernel"]) for layer in layers]
    twin.intercepts_ = [np.asarray(layer["bias"]) + 0.1 for layer in layers]
    moved = jax.tree.map(lambda leaf: leaf + 0.1 * (leaf.ndim == 1), params)
    network = nnx.merge(graph, moved, stats)
    modes = evaluation({}), training(0.5, jax.random.key(1)), training()
    seen, dropped, whole = jax.jit(lambda x: [network(x, mode) for mode in modes])(x)
    np.testing.assert_allclose(jax.nn.softmax(seen), twin.predict_proba(x), atol=1e-5)
    assert not np.allclose(dropped, whole)


@mostly_thorough(("depth", "count"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)], kept=(18,))
def test_resnet_has_the_parameters_of_torchvision(depth, count):
    chosen = hparams(architecture="resnet", resnet_depth=depth, resnet_stem="large", resnet_width=64)

    def create():
        return registry.build(
            chosen, (224, 224, 3), 1000, jnp.float32, "lax", nnx.Rngs(params=jax.random.key(0))
        )

    shapes = nnx.state(nnx.eval_shape(create), nnx.Param)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


@pytest.mark.parametrize("version", [1, 2])
def test_version_1_blocks_start_as_the_identity(version):
    chosen = hparams(architecture="resnet", resnet_version=version, resnet_width=8)

    @jax.jit
    def block(x):
        drawn = nnx.Rngs(params=jax.random.key(0))
        module = registry.build(chosen, (6, 6, 1), 2, jnp.float32, "lax", drawn)
        return module.blocks[1](x, True)  # pyrefly: ignore[missing-attribute]

    x = jax.nn.relu(jax.random.normal(jax.random.key(1), (2, 6, 6, 8)))
    assert np.array_equal(block(x), x) == (version == 1)


def test_cnn_matches_the_same_network_in_pytorch():
    torch = pytest.importorskip("torch")
    graph, create = pieces(hparams(cnn_width=4), (29, 28, 1), 3)
    state = create(jax.random.key(0))
    module = nnx.merge(graph, *state)
    assert isinstance(module, cnn.CNN)
    twin = _pytorch_cnn3(torch, module)

    @functools.partial(jax.jit, static_argnames="train")
    def run(state, x, train):
        network = nnx.merge(graph, *state)
        outputs = network(x, training() if train else evaluation({}))
        return outputs, nnx.split(network, nnx.Param, nnx.BatchStat, ...)[1:]

    x = np.random.default_rng(0).normal(size=(6, 29, 28, 1)).astype(np.float32)
    for train in (True, True, False):
        twin.train(train)
        with torch.no_grad():
            wanted = twin(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
        found, state = run(state, x, train)
        np.testing.assert_allclose(found, wanted, atol=2e-5)


def _pytorch_cnn3(torch, module):
    """Conv, batch norm, ReLU, pool, three times; average; linear: with the weights of our module."""
    nn, layers = torch.nn, []
    for stage in module.stages:
        kernel = np.asarray(stage.conv.kernel[...]).transpose(3, 2, 0, 1)
        conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, 1, 1, bias=False)
        conv.weight.data = torch.from_numpy(kernel.copy())
        layers += [conv, nn.BatchNorm2d(kernel.shape[0]), nn.ReLU(), nn.MaxPool2d(2)]
    linear = module.head.linear
    last = nn.Linear(*linear.kernel.shape)
    last.weight.data = torch.from_numpy(np.asarray(linear.kernel[...]).T.copy())
    last.bias.data = torch.from_numpy(np.asarray(linear.bias[...]).copy())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


@pytest.mark.parametrize(
    ("changes", "side", "message"),
    [
        ({"cnn_stages": 5}, 28, "cnn.stages = 5: images of 28 x 28 pixels can be halved 4 times"),
        ({"cnn_stages": 1}, 1, "cnn.stages = 1: images of 1 x 1 pixels cannot be halved; prepare larger"),
        ({"architecture": "resnet", "resnet_stem": "large"}, 16, "at least 17"),
        ({"architecture": "resnet", "resnet_stem": "small"}, 4, "at least 5"),
        ({"cnn_stages": 3}, (8, 7), "cnn.stages = 3: volumes of 7 x 8 x 7 voxels can be halved 2 times"),
        (
            {"architecture": "resnet", "resnet_stem": "large", "norm": "instance"},
            28,
            'norm = "instance": of images of 28 x 28 pixels the last stage has one pixel',
        ),
        ({"architecture": "resnet", "norm": "instance"}, 8, "the last stage has one pixel, which it makes 0"),
        ({"architecture": "resnet"}, (4, 9), "volumes of 9 x 4 x 9 voxels are too small, .* at least 5"),
    ],
)
def test_images_that_are_too_small_are_refused(changes, side, message):
    low, high = (side, side) if isinstance(side, int) else side
    depth = () if isinstance(side, int) else (high,)
    with pytest.raises(UsageError, match=message):
        registry.check(hparams(**changes), (*depth, low, high, 1))
    registry.check(hparams(**changes), (*(2 * x for x in depth), 2 * low, 2 * high, 3))


def test_a_volume_of_equal_slices_that_one_slice_of_each_kernel_reads_is_an_image():
    """The weights of a 2-D network, put into the middle of the kernels of a 3-D one, see each slice alone."""
    chosen, key = hparams(cnn_stages=2, cnn_width=4), jax.random.key(0)

    def put(image, volume):
        middle = image.ndim + 1 == volume.ndim
        return jnp.zeros_like(volume).at[1].set(image) if middle else image

    @jax.jit
    def both(images):
        flat = registry.build(chosen, (8, 12, 1), 3, jnp.float32, "fold", nnx.Rngs(params=key))
        deep = registry.build(chosen, (4, 8, 12, 1), 3, jnp.float32, "fold", nnx.Rngs(params=key))
        nnx.update(deep, jax.tree.map(put, nnx.state(flat), nnx.state(deep)))
        volumes = jnp.repeat(images[:, None], 4, axis=1)
        return deep(volumes, evaluation({})), flat(images, evaluation({}))

    of_deep, of_flat = both(jax.random.normal(key, (5, 8, 12, 1)))
    np.testing.assert_allclose(of_deep, of_flat, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("architecture", ["cnn", "resnet"])
@pytest.mark.parametrize("shape", [(30,), (28, 28), (5, 28, 28, 28, 1)])
def test_cases_that_are_no_images_are_refused(architecture, shape):
    with pytest.raises(
        UsageError, match=rf"{architecture!r} takes images \[H, W, C\].*config.model.architecture"
    ):
        registry.check(hparams(architecture=architecture), shape)
