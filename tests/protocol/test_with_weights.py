"""Weights alone: the network by the name of its file, a linear head, its strength searched."""

from __future__ import annotations

from typing import Any

import pytest

import nachos_jax
from nachos_jax.configs import base
from nachos_jax.core.errors import UsageError
from nachos_jax.models.zoo import registry
from nachos_jax.protocol.run import door, with_weights
from nachos_jax.protocol.run.configure import checked


def config(**changes: Any) -> Any:
    values = nachos_jax.default_config()
    values.data.path = "images.npz"
    values.update_from_flattened_dict({key.replace("__", "."): value for key, value in changes.items()})
    return values


def searched(run: Any) -> dict[str, str]:
    return {key: text for key, text in run.raw["search"]["space"].items() if isinstance(text, str) and text}


def test_weights_alone_give_a_linear_model_on_features_whose_strength_is_searched() -> None:
    run = checked(config(backbone__weights="somewhere/resnet50-0676ba61.pth"))
    assert (run.backbone.name, run.defaults["architecture"]) == ("resnet50", "linear")
    assert [(one.name, one.low, one.high) for one in run.search.space] == [("linear.c", 1e-4, 1e2)]
    assert searched(run) == {}
    assert run.raw["search"]["space"]["linear"]["c"] == "log(0.0001, 100.0)"
    assert run.raw["backbone"]["name"] == "resnet50", "a run resumes by what stands in its records"
    assert checked(run.raw).raw == run.raw


def test_without_weights_nothing_changes() -> None:
    values, default = config().to_dict(), base.get_config().to_dict()
    assert with_weights.settled(values, default) == values
    assert checked(values).defaults["architecture"] == "cnn"


@pytest.mark.parametrize(
    "said",
    [
        {"model__architecture": "mlp"},
        {"search__space__learning_rate": "log(0.01, 0.1)"},
        {"search__space__architecture": 'choice("mlp", "linear")'},
        {"search__space__momentum": ""},
        {"search__space__linear__c": "log(0.1, 1.0)"},
    ],
)
def test_what_a_config_says_of_the_head_stays(said: dict[str, Any]) -> None:
    values = config(backbone__name="resnet18", backbone__weights="mine.pth", **said).to_dict()
    found = with_weights.settled(values, base.get_config().to_dict())
    assert found["model"] == values["model"]
    assert found["search"]["space"] == values["search"]["space"]


def test_what_init_searches_of_training_in_steps_is_searched_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "nachos_jax")
    with_weights._tell.cache_clear()
    of_init = {"search__space__dropout": "uniform(0.0, 0.5)", "search__space__shift": "uniform(0.0, 0.1)"}
    run = checked(config(backbone__weights="resnet18.pth", **of_init))
    assert run.defaults["architecture"] == "linear"
    assert set(searched(run)) <= {"linear.c"}
    assert [one.name for one in run.search.space] == ["linear.c"]
    assert "in place of dropout, learning_rate, " in caplog.text
    assert "shift" in caplog.text


def test_layers_that_are_trained_on_keep_their_network() -> None:
    values = config(backbone__weights="resnet18.pth", backbone__tune="layer4").to_dict()
    found = with_weights.settled(values, base.get_config().to_dict())
    assert (found["backbone"]["name"], found["model"]["architecture"]) == ("resnet18", "cnn")


@pytest.mark.parametrize(
    ("file", "network"),
    [
        ("tf_efficientnet_lite0-0aa007d2.pth", "tf_efficientnet_lite0"),
        ("Densenet121.safetensors", "densenet121"),
        ("vit_small_patch14_dinov2.lvd142m.safetensors", "vit_small_patch14_dinov2"),
        ("efficientnet_b1_rwightman-bac287d4.pth", "efficientnet_b1"),
        ("timm-resnet101.bin", "resnet101"),
        ("torchvision-resnet50-0676ba61.pth", "resnet50"),
        ("resnet50_imagenet-best.pth", "resnet50"),
        ("resnet50_imagenet1k_v1.pth", "resnet50"),
        ("resnet50_a1_0-14fe96d1.pth", "resnet50"),
        ("vit_base_patch16_224_in21k.pth", "vit_base_patch16"),
        ("google-vit-base-patch16-224-in21k.safetensors", "vit_base_patch16"),
        ("densenet121_res224_all.pth", "densenet121"),
    ],
)
def test_a_file_is_named_after_its_network(file: str, network: str) -> None:
    assert checked(config(backbone__weights=file)).backbone.name == network


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("model.safetensors", "the file is named after none of convnext_tiny"),
        ("resnet18_large/weights.pth", "the file is named after none of"),
        ("xresnet500.pth", "the file is named after none of"),
        ("wide_resnet50_2-95faca4d.pth", "the file is named after none of"),
        ("our-resnet50_2.pth", "the file is named after none of"),
        ("resnet50_2-95faca4d.pth", "the file is named after none of"),
        ("resnet18_wide.pth", "the file is named after none of"),
        ("wide-resnet50-2.pth", "the file is named after none of"),
        ("se-resnet50.pth", "the file is named after none of"),
        ("resnet50-2.pth", "the file is named after none of"),
        ("timm-resnet50-2-95faca4d.pth", "the file is named after none of"),
        ("our-resnet101.bin", "the file is named after none of"),
        ("resnet18-densenet121.pth", "the file is named after densenet121 and resnet18"),
        ("efficientnet-lite0-57934424.pth", "efficientnet_lite0 or tf_efficientnet_lite0, which take other"),
    ],
)
def test_a_file_that_does_not_tell_its_network_is_refused(file: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        checked(config(backbone__weights=file))


def test_a_loss_that_a_linear_model_cannot_learn_by_is_refused_before_any_image_is_read() -> None:
    said = {"task__classification__loss": "cumulative_link"}
    run = checked(config(backbone__weights="resnet18.pth", **said))
    with pytest.raises(UsageError, match="solved by linear, which config.backbone.weights stands for"):
        door.check_config(run)
    searched_too = {"search__space__classification__loss": 'choice("cross_entropy", "cumulative_link")'}
    with pytest.raises(UsageError, match="= 'cumulative_link' cannot be solved by linear"):
        door.check_config(checked(config(backbone__weights="resnet18.pth", **searched_too)))
    door.check_config(checked(config(backbone__weights="resnet18.pth", model__architecture="mlp", **said)))


def test_every_network_is_told_by_a_file_of_its_name_or_asked_for() -> None:
    names = registry.names()
    for name in names:
        if with_weights.PORTED + name in names:
            with pytest.raises(UsageError, match=rf"could be those of {name} or tf_{name}"):
                checked(config(backbone__weights=f"{name}.pth"))
        else:
            assert checked(config(backbone__weights=f"{name}.pth")).backbone.name == name
