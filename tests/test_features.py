"""Feature maps: names, positions and weights are those of torchvision."""

import pytest
import torch
from torchvision import models

from styleaug.features import BACKBONES, FeatureExtractor
from styleaug.weights import save_tensors


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_vgg_maps_have_the_shapes_of_the_papers(images):
    shapes = {
        "relu1_2": (64, 64),
        "relu2_1": (128, 32),
        "relu3_4": (256, 16),
        "relu4_1": (512, 8),
        "relu5_1": (512, 4),
        "pool5": (512, 2),
    }
    found = FeatureExtractor("vgg19", list(shapes), weights=None)(images)
    for maps, (channels, side) in zip(found, shapes.values(), strict=True):
        assert maps.shape == (2, channels, side, side)
        assert maps.min() >= 0.0


@pytest.mark.parametrize("backbone", ["vgg16", "resnet50", "densenet121"])
def test_a_checkpoint_of_torchvision_gives_its_maps(images, backbone, tmp_path):
    torch.manual_seed(1)
    network = getattr(models, backbone)(weights=None).eval()
    path = tmp_path / "weights.safetensors"
    save_tensors(network.state_dict(), path, {})
    last = {"vgg16": "relu4_1", "resnet50": "layer3", "densenet121": "denseblock2"}[backbone]
    extractor = FeatureExtractor(backbone, [last], weights=path, normalize=False)
    with torch.no_grad():
        (found,) = extractor(images)
        if backbone == "vgg16":
            expected = network.features[:19](images)
        elif backbone == "resnet50":
            stem = network.maxpool(network.relu(network.bn1(network.conv1(images))))
            expected = network.layer3(network.layer2(network.layer1(stem)))
        else:
            expected = network.features[:7](images)
    assert torch.allclose(found, expected, atol=1e-5)


def test_maps_come_in_the_order_asked_for_and_scaled(images):
    torch.manual_seed(0)
    plain = FeatureExtractor("vgg16", ["relu2_1", "relu1_1"], weights=None)
    first, second = plain(images)
    assert (first.shape[1], second.shape[1]) == (128, 64)
    plain.scale = (2.0, 1.0)
    assert torch.allclose(plain(images)[0] * 2.0, first)


def test_images_are_normalised_for_imagenet(images):
    extractor = FeatureExtractor("vgg16", ["relu1_1"], weights=None)
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    (expected,) = extractor(images)
    extractor.normalize = False
    assert torch.allclose(extractor((images - mean) / std)[0], expected, atol=1e-6)


def test_the_backbone_is_frozen_and_lets_gradients_through(images):
    extractor = FeatureExtractor("vgg16", ["relu1_2"], weights=None).train()
    assert not extractor.training
    assert not any(parameter.requires_grad for parameter in extractor.parameters())
    leaf = images.clone().requires_grad_()
    extractor(leaf)[0].mean().backward()
    assert leaf.grad.abs().sum() > 0


def test_wrong_names_and_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match="backbone must be one of"):
        FeatureExtractor("squeezenet", ["relu1_1"], weights=None)
    with pytest.raises(ValueError, match="layers must be one of"):
        FeatureExtractor("vgg19", ["relu6_1"], weights=None)
    with pytest.raises(ValueError, match="scale must hold 1"):
        FeatureExtractor("vgg19", ["relu1_1"], weights=None, scale=[1.0, 2.0])
    path = tmp_path / "w.safetensors"
    save_tensors({"features.0.weight": torch.zeros(64, 3, 5, 5)}, path, {})
    with pytest.raises(ValueError, match=r"lacks \['features.0.bias'\].*features.0.weight"):
        FeatureExtractor("vgg19", ["relu1_1"], weights=path)
    assert len(BACKBONES) == 9
