"""What every stylizer does to a device: no wait that is not asked for, one graph."""

import copy
import functools
import pickle

import pytest
import torch
from builders import IN_REGIONS, WITH_DETAIL, build
from far import Accelerator, Far, move_far

from styleaug import StyleBank, StyleCode, StyleTransfer, list_stylizers
from styleaug.stylizers.channelwise import ChannelwiseStylizer
from styleaug.tta import StyleTTA


@pytest.fixture(scope="module", params=[*list_stylizers(), *WITH_DETAIL, *IN_REGIONS])
def stylizer(request):
    return build(request.param)


@pytest.fixture(scope="module")
def bank(stylizer):
    return StyleBank.from_images(torch.rand(3, 3, 64, 64), stylizer)


@pytest.fixture(autouse=True)
def _no_shortcuts_of_a_cpu(request, monkeypatch):
    """Far tensors say that they are on a CPU; take the ways of an accelerator all the same."""
    if "reads_back" in request.node.name:
        monkeypatch.setattr("styleaug.stylizers.histogram._is_eager_cpu", lambda _: False)
        monkeypatch.setattr(ChannelwiseStylizer, "takes", lambda *_: False)


def _far_transform(stylizer, styles, **options):
    """A transform whose network and bank are on the pretended device."""
    transform = StyleTransfer(stylizer, styles=copy.copy(styles), seed=0, **options)
    far = move_far(copy.deepcopy(stylizer))
    transform._lazy._on["cpu"] = far
    if isinstance(styles, StyleBank):
        maps = {name: Far(tensor) for name, tensor in styles.code.maps.items()}
        transform.source._on = {torch.device("cpu"): StyleCode(maps, styles.code.source)}
    return transform


@pytest.mark.parametrize(
    ("source", "kind", "check", "reads"),
    [("bank", "float", True, 1), ("bank", "float", False, 0), ("batch", "uint8", True, 0)],
)
def test_a_call_reads_back_once_for_the_check_of_floats(stylizer, bank, source, kind, check, reads):
    images = torch.rand(4, 3, 64, 64)
    if kind == "uint8":
        images = (255 * images).to(torch.uint8)
    transform = _far_transform(
        stylizer, bank if source == "bank" else "batch", p=0.7, check=check, alpha=(0.0, 1.0)
    )
    with Accelerator() as device:
        transform(Far(images))
        device.reset()
        transform(Far(images))
    assert device.launches > 0
    assert sum(device.reads.values()) <= reads, device.reads
    # the rows that are stylized there and back, their styles (twice from a batch), their strengths
    assert sum(device.uploads.values()) <= 5, device.uploads


def test_test_time_augmentation_reads_back_once(stylizer, bank):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 2)).eval()
    tta = StyleTTA(model, _far_transform(stylizer, bank), n=2)
    with torch.no_grad(), Accelerator() as device:
        tta.model = move_far(model)
        tta(Far(torch.rand(2, 3, 64, 64)))
        device.reset()
        tta(Far(torch.rand(2, 3, 64, 64)))
    assert sum(device.reads.values()) <= 1, device.reads


def test_a_stylizer_is_one_graph_for_one_batch_and_for_any(stylizer, bank):
    torch._dynamo.reset()
    content, alpha = torch.rand(3, 3, 64, 64), torch.tensor([1.0, 0.5, 0.0])
    expected = stylizer(content, bank.code, alpha)
    compiled = torch.compile(stylizer, fullgraph=True, backend="eager")
    assert torch.allclose(compiled(content, bank.code, alpha), expected, atol=1e-5)
    # another size of the batch makes the compiler take it as a variable
    fewer = compiled(content[:2], bank.code[:2], alpha[:2])
    assert torch.allclose(fewer, expected[:2], atol=1e-5)


def test_a_transform_compiles_its_stylizer_once_for_any_number_of_images(
    stylizer, bank, monkeypatch
):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    images = torch.rand(7, 3, 64, 64)
    plain, compiled = (
        StyleTransfer(stylizer, styles=bank, seed=0, compile=way) for way in (False, True)
    )
    for p in (1.0, 0.7, 0.4):
        plain.p = compiled.p = p
        assert torch.allclose(compiled(images), plain(images), atol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert "forward" not in vars(stylizer)  # that of the user stays as it is


def test_a_compiled_grid_is_the_same(stylizer, bank, monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    torch._dynamo.reset()
    plain, compiled = (StyleTransfer(stylizer, styles=bank, compile=way) for way in (False, True))
    images = torch.rand(2, 3, 64, 64)
    expected = plain.stylize_grid(images, [0, 2], alpha=[0.5, 0.0])
    found = compiled.stylize_grid(images, [0, 2], alpha=[0.5, 0.0])
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_compiling_transform_travels_as_a_small_pickle():
    transform = StyleTransfer("colorist", p=1.0, seed=0, compile=True)
    images = torch.rand(2, 3, 64, 64)
    transform(images)
    copied = pickle.loads(pickle.dumps(transform))
    assert copied.compiled
    assert not copied._lazy._on
    expected = StyleTransfer("colorist", p=1.0, seed=0)(images)
    assert torch.allclose(copied(images), expected, atol=1e-5)


def test_tta_compiles_as_its_transform_does(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda method, **_: seen.append(method) or method)
    styles = StyleBank.from_images(torch.rand(3, 3, 64, 64), "colorist")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 2)).eval()
    tta = StyleTTA(net, StyleTransfer("colorist", compile=True), styles, n=2)
    tta(torch.rand(2, 3, 64, 64))
    assert [method.__name__ for method in seen] == ["grid_checked"]
    assert pickle.loads(pickle.dumps(tta)).core.compiled


class _Model(torch.nn.Module):
    def __init__(self, transform):
        super().__init__()
        self.transform, self.layer = transform, torch.nn.Conv2d(3, 4, 3)

    def forward(self, images):
        return self.layer(self.transform(images)).relu()


@pytest.mark.parametrize("seed", [0, None])
def test_a_compiled_module_may_hold_the_transform(seed):
    images = torch.rand(4, 3, 64, 64)
    results = []
    for backend in (None, "eager"):
        torch.manual_seed(1)
        model = _Model(StyleTransfer("colorist", p=0.7, seed=seed))
        run = torch.compile(model, backend=backend) if backend else model
        results.append([run(images) for _ in range(2)])
    assert not torch.equal(*results[0])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
