"""The trainer: resumable to rounding, careful with files, one run over two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from styleaug.cli import main
from styleaug.features import IMAGENET_MEAN, IMAGENET_STD
from styleaug.stylizers.micro import Micro
from styleaug.stylizers.stylizing_vit import StylizingViT
from styleaug.training import TrainConfig, Trainer
from styleaug.training.data import PairDataset
from styleaug.training.losses import lsgan_loss
from styleaug.training.recipes import RECIPES
from styleaug.training.recipes.micro import grey_loss, jitter_style
from styleaug.weights import read_state_dict, save_tensors

pytestmark = pytest.mark.filterwarnings("ignore:skipped .*:UserWarning")

_CHANNELS = [3, 64, 64, 128, 128, 256, 256, 256, 256]
_POSITIONS = [0, 2, 5, 7, 10, 12, 14, 16]


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A folder of images and a stand-in for the first eight convolutions of VGG-19."""
    root = tmp_path_factory.mktemp("material")
    (root / "images").mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        pixels = rng.integers(0, 256, (48, 56, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((56, 48)).save(root / "images" / f"{index}.png")
    torch.manual_seed(0)
    state = {}
    for index, position in enumerate(_POSITIONS):
        inputs, outputs = _CHANNELS[index], _CHANNELS[index + 1]
        weight = torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
        state[f"features.{position}.weight"] = weight
        state[f"features.{position}.bias"] = torch.zeros(outputs)
    save_tensors(state, root / "vgg.safetensors", {})
    return root


def _config(material, output, **changes):
    settings = {
        "content": (str(material / "images"),),
        "output": str(output),
        "steps": 6,
        "batch_size": 2,
        "size": 32,
        "log_every": 1,
        "checkpoint_every": 3,
        "images_every": 6,
        "workers": 0,
        "accelerator": "cpu",
        "features": str(material / "vgg.safetensors"),
    }
    return TrainConfig("micro", **{**settings, **changes})


def _curve(folder):
    return [entry["total"] for entry in json.loads((folder / "history.json").read_text())]


@pytest.fixture(scope="module")
def whole_run(material, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    Trainer(_config(material, folder), quiet=True).run()
    return folder


def test_a_run_leaves_weights_a_card_and_logs(whole_run):
    assert Micro(weights=str(whole_run / "model.safetensors")).weights_id
    card = (whole_run / "card.md").read_text()
    assert "sha256" in card
    assert 'recipe = "micro"' in card
    assert list((whole_run / "logs").glob("events*"))
    assert len(_curve(whole_run)) == 6
    assert all(np.isfinite(_curve(whole_run)))


class _KilledError(Exception):
    pass


def test_a_killed_run_goes_on_with_the_same_curve(material, whole_run, tmp_path, monkeypatch):
    config = _config(material, tmp_path / "run")
    step = Trainer._step

    def dies_at_five(self, *arguments):
        self.count = getattr(self, "count", 0) + 1
        if self.count == 5:
            raise _KilledError
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", dies_at_five)
    with pytest.raises(_KilledError):
        Trainer(config, quiet=True).run()
    monkeypatch.undo()
    assert len(_curve(tmp_path / "run")) == 3
    Trainer(config, resume=True, quiet=True).run()
    assert np.allclose(_curve(tmp_path / "run"), _curve(whole_run), rtol=1e-5)


def test_workers_change_nothing(material, whole_run, tmp_path):
    config = _config(material, tmp_path / "run", workers=2, steps=6)
    Trainer(config, quiet=True).run()
    assert np.allclose(_curve(tmp_path / "run"), _curve(whole_run), rtol=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run(material, tmp_path, monkeypatch):
    forward = RECIPES["micro"].forward

    def breaks(self, content, style, phase):
        self.count = getattr(self, "count", 0) + 1
        losses = forward(self, content, style, phase)
        return {k: v * float("nan") for k, v in losses.items()} if self.count == 5 else losses

    monkeypatch.setattr(RECIPES["micro"], "forward", breaks)
    with pytest.raises(FloatingPointError, match="last good checkpoint"):
        Trainer(_config(material, tmp_path / "run"), quiet=True).run()
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert state["step"] == 3
    assert all(tensor.isfinite().all() for tensor in state["generator"].values())


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_leaves_the_images_in_float32(material, tmp_path, monkeypatch, precision):
    forward, seen = RECIPES["micro"].forward, []

    def spied(self, content, style, phase):
        half = torch.ones(2, 2) @ torch.ones(2, 2)
        seen.append((content.dtype, style.dtype, half.dtype))
        return forward(self, content, style, phase)

    monkeypatch.setattr(RECIPES["micro"], "forward", spied)
    Trainer(_config(material, tmp_path / "run", steps=1, precision=precision), quiet=True).run()
    assert seen == [(torch.float32, torch.float32, torch.bfloat16)]


def test_epochs_count_the_contents(material, tmp_path, capsys):
    trainer = Trainer(_config(material, tmp_path / "run", epochs=1.5), quiet=True)
    assert trainer.config.steps == 5  # 1.5 times six images, in pairs
    assert TrainConfig.from_toml(trainer.config.to_toml()) == trainer.config
    words = ["--steps", "5", "--epochs", "1", "--content", str(material), "-o", str(tmp_path / "x")]
    assert main(["train", "micro", *words]) == 2
    assert "--steps or --epochs" in capsys.readouterr().err


def test_a_gradient_that_is_not_finite_stops_the_run(material, tmp_path, monkeypatch):
    forward = RECIPES["micro"].forward

    def breaks(self, content, style, phase):
        losses = forward(self, content, style, phase)
        zero = 0.0 * next(self.network.parameters()).sum()
        return {**losses, "range": losses["range"] + zero.sqrt()}  # finite, with an infinite slope

    monkeypatch.setattr(RECIPES["micro"], "forward", breaks)
    with pytest.raises(FloatingPointError, match="the gradient is not finite"):
        Trainer(_config(material, tmp_path / "run"), quiet=True).run()


def test_flat_images_leave_the_gradient_finite(material):
    recipe = RECIPES["micro"](_config(material, "unused"))
    flat, image = torch.full((2, 3, 32, 32), 0.25), torch.rand(2, 3, 32, 32)
    for content, style in ((flat, image), (image, flat), (flat, flat)):
        recipe.zero_grad()
        recipe.weigh(recipe(content, style, "generator")).backward()
        gradients = [p.grad for p in recipe.network.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_accumulated_batches_are_one_large_batch(material):
    large = _config(material, "a", batch_size=4)
    dataset = PairDataset(large.content, large.content, size=32)
    recipe = RECIPES["micro"](large.with_changes(options={"jitter": 0.0}))
    pairs = [dataset[number] for number in range(4)]
    content, style = (torch.stack([p[k] for p in pairs]) for k in ("content", "style"))
    whole = recipe(content, style, "generator")["style"]
    halves = [recipe(content[i : i + 2], style[i : i + 2], "generator")["style"] for i in (0, 2)]
    assert torch.allclose(whole, sum(halves) / 2, rtol=1e-4)


def test_two_processes_train_one_network(material, tmp_path):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "-m", "styleaug", "train", "micro", "--content", str(material / "images"),
        "-o", str(tmp_path / "run"), "--steps", "2", "--batch-size", "2", "--size", "32",
        "--workers", "0", "--accelerator", "cpu", "--log-every", "1", "--devices", "2",
        "--features", str(material / "vgg.safetensors"),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert Micro(weights=str(tmp_path / "run" / "model.safetensors")).weights_id
    assert len(_curve(tmp_path / "run")) == 2


def test_ranks_see_different_pairs(material):
    folders = (str(material / "images"),)
    first, second = (PairDataset(folders, folders, size=32, rank=rank) for rank in (0, 1))
    assert not torch.equal(first[0]["content"], second[0]["content"])
    assert torch.equal(first[3]["content"], first[3]["content"])


def test_pairs_of_one_kind(tmp_path):
    for value in (0, 120, 240):
        folder = tmp_path / str(value)
        folder.mkdir()
        Image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(folder / "flat.png")
    folders = [str(tmp_path / str(value)) for value in (0, 120, 240)]

    def alike(same_kind):
        dataset = PairDataset(folders, folders[:1], size=32, same_kind=same_kind)
        pairs = [dataset[number] for number in range(60)]
        return sum(torch.equal(pair["content"], pair["style"]) for pair in pairs)

    assert alike(1.0) == 60
    assert 10 < alike(0.0) < 30
    assert alike(0.0) < alike(0.5) < 60


def test_broken_images_are_passed_over_and_counted(material, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    good = (material / "images" / "0.png").read_bytes()
    (folder / "good.png").write_bytes(good)
    (folder / "broken.png").write_bytes(good[:200])
    dataset = PairDataset([str(folder)], [str(folder)], size=32)
    with pytest.warns(UserWarning, match=r"skipped .*broken\.png"):
        skipped = sum(int(dataset[number]["skipped"]) for number in range(20))
    assert skipped > 0
    (folder / "good.png").unlink()
    dataset = PairDataset([str(folder)], [str(folder)], size=32)
    with pytest.raises(ValueError, match="could not be read"):
        dataset[0]


def test_wrong_settings_are_refused_before_anything_starts(material, whole_run, tmp_path):
    with pytest.raises(ValueError, match="recipe must be one of"):
        Trainer(TrainConfig("nope", content=(str(material),), output=str(tmp_path / "x")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds none"):
        Trainer(_config(material, tmp_path / "x", content=(str(tmp_path / "empty"),)))
    with pytest.raises(FileExistsError, match="resume"):
        Trainer(_config(material, whole_run))
    with pytest.raises(ValueError, match="keep its settings"):
        Trainer(_config(material, whole_run, batch_size=4), resume=True)
    with pytest.raises(ValueError, match=r"weights has unknown keys \['styl'\]"):
        Trainer(_config(material, tmp_path / "y", weights={"styl": 1.0}), quiet=True).run()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "64"},
        {"batch_size": 1},
        {"steps": 0},
        {"content": ()},
        {"size": 16},
        {"same_kind": 2.0},
    ],
)
def test_settings_are_checked(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        TrainConfig("micro", **{"content": ("a",), "output": "b", **changes})


def test_settings_come_back_from_toml(tmp_path):
    config = TrainConfig(
        "micro", content=("a", 'b"c'), output="run", weights={"style": 2.0}, options={"jitter": 0.5}
    )
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml())
    assert TrainConfig.from_file(path) == config
    assert TrainConfig.from_file(path, steps=7).steps == 7
    with pytest.raises(ValueError, match="unknown keys"):
        TrainConfig.from_toml("recipes = 1")
    with pytest.raises(ValueError, match="must be TOML"):
        TrainConfig.from_toml("= 1")


def test_the_command_reads_a_config_and_refuses_none(material, tmp_path, capsys):
    assert main(["train", "micro", "-o", str(tmp_path / "run")]) == 2
    assert "--content must name folders" in capsys.readouterr().err
    path = tmp_path / "c.toml"
    path.write_text(_config(material, "elsewhere", steps=1, images_every=9).to_toml())
    assert main(["train", "micro", "--config", str(path), "-o", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert not Path("elsewhere").exists()


def test_jitter_and_grey():
    color, grey = torch.rand(4, 3, 16, 16), torch.rand(4, 1, 16, 16).expand(4, 3, 16, 16)
    assert torch.allclose(jitter_style(color, 0.0), color, atol=1e-6)
    assert (jitter_style(color, 1.0) - color).abs().mean() > 0.02
    assert grey_loss(jitter_style(grey, 1.0), grey, grey) < 1e-10
    assert grey_loss(color, grey, grey) > 0.01
    assert grey_loss(color, color, grey) == 0.0


class _Adversarial(RECIPES["micro"]):
    """micro with a discriminator that tells stylized images from styles."""

    default_weights: ClassVar = {**RECIPES["micro"].default_weights, "fool": 1.0, "judge": 1.0}
    discriminator_steps = 0.5
    calls: ClassVar = []

    def __init__(self, config):
        super().__init__(config)
        self.judge = torch.nn.Conv2d(3, 1, 3)

    def discriminator(self):
        return self.judge

    def forward(self, content, style, phase):
        self.calls.append(phase)
        if phase == "generator":
            fake = self.preview(content, style)
            losses = super().forward(content, style, phase)
            return losses | {"fool": lsgan_loss([self.judge(fake)], real=True)}
        with torch.no_grad():
            fake = self.preview(content, style)
        real, unreal = ([self.judge(images)] for images in (style, fake))
        return {"judge": lsgan_loss(real, real=True) + lsgan_loss(unreal, real=False)}


def test_a_discriminator_is_updated_at_the_recipes_ratio(material, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "adversarial", _Adversarial)
    _Adversarial.calls.clear()
    folder = tmp_path / "whole"
    config = _config(material, folder).with_changes(recipe="adversarial", accumulate=2)
    Trainer(config, quiet=True).run()
    assert _Adversarial.calls == (["generator"] * 2 + ["discriminator"] * 2 + ["generator"] * 2) * 3
    state = torch.load(folder / "last.ckpt", weights_only=True)
    torch.manual_seed(0)
    assert set(state["discriminator"]) == {"weight", "bias"}
    assert len(state["optimizers"]) == 2
    history = json.loads((folder / "history.json").read_text())
    assert "judge" in history[1]
    assert "judge" not in history[0]

    killed = tmp_path / "killed"
    run = Trainer(config.with_changes(output=str(killed)), quiet=True)
    save = run._save

    def save_and_die(fabric, recipe, optimizers, step, history):
        save(fabric, recipe, optimizers, step, history)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        run.run()
    Trainer(config.with_changes(output=str(killed)), resume=True, quiet=True).run()
    assert _curve(killed) == pytest.approx(_curve(folder), rel=1e-5)


def test_stylizing_vit_is_trained_and_loads_with_its_constants(material, tmp_path, monkeypatch):
    from styleaug import StyleTransfer
    from styleaug.stylizers.vit.network import CONFIGS, ViTConfig
    from styleaug.training.recipes import stylizing_vit

    small = {**CONFIGS, "tiny": ViTConfig(192, 3, depth=12)}
    monkeypatch.setattr(stylizing_vit, "CONFIGS", small)
    options = {
        "layers": ["relu1_2", "relu2_2", "relu3_4"],
        "mean": [0.6, 0.5, 0.6],
        "std": [0.2, 0.2, 0.2],
    }
    config = _config(material, tmp_path / "run", steps=2, options=options)
    weights = Trainer(config.with_changes(recipe="stylizing-vit-tiny"), quiet=True).run()
    assert json.loads((tmp_path / "run" / "config.json").read_text())["mean"] == [0.6, 0.5, 0.6]
    transform = StyleTransfer("stylizing-vit-tiny", weights=str(weights), p=1.0)
    assert transform(torch.rand(2, 3, 64, 64)).shape == (2, 3, 64, 64)
    with pytest.raises(ValueError, match="multiple of 16"):
        RECIPES["stylizing-vit-base"](config.with_changes(recipe="stylizing-vit-base", size=40))


def test_losses_of_stylizing_vit_are_those_of_the_paper(material, tmp_path):
    from styleaug.features import FeatureExtractor

    layers = ["relu1_2", "relu3_4"]
    config = _config(material, tmp_path, options={"layers": layers}).with_changes(
        recipe="stylizing-vit-tiny"
    )
    recipe = RECIPES["stylizing-vit-tiny"](config)
    content, style = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        losses = recipe(content, style, "generator")
        net = recipe.network
        streams = net.streams(recipe._normalised(content), recipe._normalised(style))
        own, other, _ = (net.decode(tokens, (2, 2)) for tokens in streams)
        phi = FeatureExtractor("vgg19", layers, weights=config.features)
        pairs = [(content, own), (style, other)]
        identity = sum(torch.mean((recipe._normalised(x) - y) ** 2) for x, y in pairs)
        consistency = sum(
            torch.mean((a - b) ** 2)
            for x, y in pairs
            for a, b in zip(phi(x), phi(recipe._in_unit_range(y)), strict=True)
        )
    assert losses["identity"].item() == pytest.approx(identity.item(), rel=1e-4)
    assert losses["consistency"].item() == pytest.approx(consistency.item(), rel=1e-4)


def test_stylizing_vit_repeats_by_its_patches_alone_and_goes_on_with_its_blocks(material, tmp_path):
    alone = {"consistency": 0.0, "anatomy": 0.0, "style": 0.0}
    layers = {"layers": ["relu1_2", "relu3_4"]}
    config = _config(
        material,
        tmp_path / "patches",
        steps=3,
        weights=alone,
        options={**layers, "patches_alone": True},
    ).with_changes(recipe="stylizing-vit-tiny")
    weights = Trainer(config, quiet=True).run()

    config = config.with_changes(
        output=str(tmp_path / "whole"), start=str(weights), options=layers, steps=3
    )
    recipe = RECIPES["stylizing-vit-tiny"](config)
    network = recipe.network
    network.load_state_dict(read_state_dict(weights))
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        patches = network.repeat(images, blocks=False)
        assert torch.equal(network.repeat(images), patches)
        assert torch.equal(network(images, images.flip(0)), patches)
        assert set(recipe(images, images, "generator")) == {"identity"}

    after = read_state_dict(Trainer(config, quiet=True).run())
    assert after["encoder.blocks.0.attn.out_proj.weight"].abs().sum() > 0.0


def test_losses_see_the_detail_that_the_stylizer_puts_back(material, tmp_path):
    config = _config(material, tmp_path).with_changes(recipe="stylizing-vit-tiny")
    content, style = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    losses, shown = {}, {}
    for detail in (False, True):
        torch.manual_seed(0)
        options = {"layers": ["relu1_2", "relu3_4"], "detail": detail}
        recipe = RECIPES["stylizing-vit-tiny"](config.with_changes(options=options)).eval()
        stylizer = StylizingViT(
            recipe.network, mean=IMAGENET_MEAN, std=IMAGENET_STD, resize="fit", detail=detail
        )
        stylizer.style_size = 32
        with torch.no_grad():
            losses[detail] = recipe(content, style, "generator")
            shown[detail] = recipe.preview(content, style)
        painted = stylizer.stylize(content, stylizer.encode_style(style))
        assert torch.allclose(shown[detail], painted, atol=1e-3)
    assert (shown[True] - shown[False]).abs().mean() > 0.05
    assert losses[True]["identity"] == losses[False]["identity"]
    assert losses[True]["anatomy"] < losses[False]["anatomy"]


def test_patches_alone_are_trained_on_identity_alone(material, tmp_path):
    config = _config(material, tmp_path, options={"patches_alone": True})
    with pytest.raises(ValueError, match="got one for consistency, anatomy, style"):
        RECIPES["stylizing-vit-tiny"](config.with_changes(recipe="stylizing-vit-tiny"))


@pytest.mark.parametrize("content", ["contextual", "mse"])
def test_contextual_adain_trains_its_decoder_alone(material, tmp_path, content):
    from styleaug import StyleTransfer

    options = {
        "layer": "relu3_1",
        "content": content,
        "content_layers": ["relu3_4"],
        "style_layers": ["relu1_1", "relu2_1", "relu3_1"],
    }
    config = _config(material, tmp_path / "run", steps=3, options=options)
    config = config.with_changes(recipe="contextual-adain")
    before = RECIPES["contextual-adain"](config).network.encoder.state_dict()
    weights = Trainer(config, quiet=True).run()
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["generator"]
    assert all(torch.equal(before[key], state[f"encoder.{key}"]) for key in before)
    transform = StyleTransfer("contextual-adain", weights=str(weights), p=1.0)
    assert transform(torch.rand(2, 3, 48, 48)).shape == (2, 3, 48, 48)


def test_options_of_contextual_adain_are_checked(material, tmp_path):
    config = _config(material, tmp_path, options={"content": "l1"})
    with pytest.raises(ValueError, match=r"content must be one of \['contextual', 'mse'\]"):
        RECIPES["contextual-adain"](config.with_changes(recipe="contextual-adain"))


def test_a_run_can_start_from_weights(material, whole_run, tmp_path):
    weights = whole_run / "model.safetensors"
    config = _config(material, tmp_path / "run", steps=1, learning_rate=0.0, start=str(weights))
    again = Trainer(config, quiet=True).run()
    before, after = read_state_dict(weights), read_state_dict(again)
    assert all(torch.equal(before[key], after[key]) for key in before)
    wrong = config.with_changes(recipe="stylizing-vit-tiny", output=str(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        Trainer(wrong.with_changes(options={"layers": ["relu1_1"]}), quiet=True).run()


def test_a_run_can_start_from_published_weights(material, tmp_path):
    config = _config(material, tmp_path / "run", steps=1, learning_rate=0.0, start="medical")
    state, shipped = (
        read_state_dict(Trainer(config, quiet=True).run()),
        Micro().network.half().float().state_dict(),
    )
    assert all(torch.equal(shipped[key], value.float()) for key, value in state.items())
    wrong = config.with_changes(start="cats", output=str(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"one of \['medical'\]"):
        Trainer(wrong, quiet=True).run()
