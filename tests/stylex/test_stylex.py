"""StyleX: pipelines whose parameters are the style, an encoder that sees it, and its uses."""

import math

import pytest
import torch

from styleaug import StyleBank
from styleaug.stylex import (
    PIPELINES,
    LocalLaplacian,
    StyleX,
    UnsharpTone,
    match_pipeline,
    select_styles,
)
from styleaug.stylex.encoder import SimSiamHeads, StyleEncoder
from styleaug.training.recipes.stylex import (
    contrastive_loss,
    graded_loss,
    process_pairs,
    spread,
    turned,
)
from styleaug.tta import StyleTTA
from styleaug.weights import save_tensors


def _films(count=3, size=48, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 7, 7, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_a_batch_is_its_images_one_by_one(pipeline):
    films = _films()
    vectors = pipeline.sample(3, torch.Generator().manual_seed(1))
    vectors[:, -1] = vectors[:, -1] if pipeline is LocalLaplacian else 0.0  # no noise
    together = pipeline.process(films, vectors)
    alone = [pipeline.from_vector(v)(film[None]) for v, film in zip(vectors, films, strict=True)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)
    assert together.min() >= 0
    assert together.max() <= 1
    assert torch.isfinite(together).all()


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_every_parameter_changes_the_picture_and_has_a_slope(pipeline):
    films = _films(1)
    low, high = pipeline.limits()
    for index in range(len(low)):
        ends = []
        for share in (0.2, 0.8):
            vector = 0.5 * (low + high)
            vector[index] = low[index] + share * (high - low)[index]
            noise = torch.Generator().manual_seed(0)
            ends.append(pipeline.process(films, vector[None], noise))
        assert (ends[0] - ends[1]).abs().mean() > 1e-3
        vector = vector.clone().requires_grad_()
        pipeline.process(films, vector[None]).square().sum().backward()
        assert vector.grad[index] != 0


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_training_and_held_out_parameters_do_not_meet(pipeline):
    generator = torch.Generator().manual_seed(0)
    seen = pipeline.normalise(pipeline.sample(500, generator))
    unseen = pipeline.normalise(pipeline.sample(500, generator, held_out=True))
    assert not (seen[:, :2] > 2 / 3 + 1e-5).all(dim=1).any()
    assert (unseen[:, :2] >= 2 / 3 - 1e-5).all()
    for vectors in (seen, unseen):
        assert vectors.min() >= -1e-5
        assert vectors.max() <= 1 + 1e-5


def test_a_filter_that_does_nothing_leaves_the_logarithm():
    film = _films(1)
    logarithm = (1 + 3 * film).log() / torch.tensor(4.0).log()
    std, mean = torch.std_mean(logarithm, correction=0)
    expected = (0.5 + 0.2 * (logarithm - mean) / std).clamp(0, 1)
    found = LocalLaplacian()(film)
    assert (found - expected).abs().mean() < 0.01
    assert (LocalLaplacian(detail=2.5)(film) - expected).std() > (found - expected).std()
    with pytest.raises(ValueError, match="gamma must be in"):
        LocalLaplacian(gamma=9.0)


@pytest.fixture(scope="module")
def metric(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("stylex") / "model.safetensors"
    save_tensors(StyleEncoder().state_dict(), path, {})
    return StyleX(path)


def test_similarity_is_a_cosine_that_lets_gradients_through(metric):
    films = _films()
    assert torch.allclose(metric.similarity(films, films), torch.ones(3), atol=1e-5)
    assert torch.allclose(metric.distance(films, films), torch.zeros(3), atol=1e-5)
    other = LocalLaplacian(gamma=2.0)(films)
    expected = torch.nn.functional.cosine_similarity(metric.embed(films), metric.embed(other))
    assert torch.allclose(metric.similarity(films, other), expected, atol=1e-5)
    assert torch.allclose(metric.embed(films.expand(-1, 3, -1, -1)), metric.embed(films), atol=1e-5)
    leaf = films.clone().requires_grad_()
    metric(leaf, other).sum().backward()
    assert leaf.grad.abs().max() > 0
    assert not metric.train().training
    assert metric.embed(_films(1, 65)).shape == (1, 512)
    with pytest.raises(ValueError, match="as many images"):
        metric.similarity(films, films[:2])
    with pytest.raises(ValueError, match="sides of at least 32"):
        metric.embed(films[..., :20, :20])
    with pytest.raises(ValueError, match="finite"):
        metric.embed(films * float("nan"))


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_the_packaged_weights_find_styles_in_pictures_of_any_kind(pipeline):
    metric, films = StyleX(), _films(32, 96)
    vectors = pipeline.sample(16, torch.Generator().manual_seed(1))
    noise = torch.Generator().manual_seed(0)
    gallery, queries = (
        metric.embed(pipeline.process(part, vectors, noise)) for part in films.split(16)
    )
    right = (queries @ gallery.T).argmax(dim=1) == torch.arange(16)
    assert right.float().mean() > 0.5  # chance is 1 / 16


def test_weights_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="one of \\['films'\\], a file"):
        StyleX("nothing")


@pytest.mark.parametrize("views", [1, 2, 8])
def test_views_make_an_embedding_that_turning_does_not_change(metric, views):
    films = _films()
    metric.views, before = views, metric.views
    found = metric.embed(films)
    same = {1: [], 2: [films.flip(3)], 8: [films.flip(2), films.rot90(1, (2, 3)), films.mT]}[views]
    changed = {1: films.flip(3), 2: films.flip(2), 8: films.roll(9, 3)}[views]
    assert all(torch.allclose(metric.embed(copy), found, atol=1e-5) for copy in same)
    assert not torch.allclose(metric.embed(changed), found, atol=1e-5)
    assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)
    metric.views = before


def test_pairs_are_processed_alike():
    torch.manual_seed(0)
    film = _films(1).expand(6, -1, -1, -1)
    (first, second), _ = process_pairs(torch.stack([film, film]), LocalLaplacian)
    assert torch.allclose(first, second)  # the same image with the same parameters
    assert (first[0] - first[1]).abs().mean() > 1e-3  # parameters of its own for every pair


def test_turning_keeps_the_style():
    images = torch.rand(4, 1, 16, 16)
    for before, after in zip(images, turned(images), strict=True):
        assert torch.equal(before.flatten().sort().values, after.flatten().sort().values)


def test_spread_tells_a_collapse():
    torch.manual_seed(0)
    assert spread(torch.randn(256, 64)).item() == pytest.approx(1.0, abs=0.05)
    assert spread(torch.randn(64).expand(256, 64)).item() < 1e-3
    z, p = SimSiamHeads()(torch.randn(8, 512))
    assert z.shape == p.shape == (8, 2048)


def test_contrastive_loss_asks_for_the_partner_among_all():
    units = torch.eye(4)
    right = contrastive_loss(units, 3 * units, temperature=0.5)  # whatever the length
    expected = math.log(1 + 6 * math.exp(-2))  # one partner at cosine 1, six others at 0
    assert right.item() == pytest.approx(expected, rel=1e-5)
    assert contrastive_loss(units, units.roll(1, 0), temperature=0.5) > right + 1


def test_matching_recovers_known_parameters():
    films = _films(2, 64, seed=3)
    known = UnsharpTone(amount=1.5, slope=6.0, middle=0.42)

    def gap(a, b):
        return (a - b).square().mean(dim=(1, 2, 3))

    found = match_pipeline(films[:1], known(films[:1]), UnsharpTone, distance=gap, steps=120)
    assert gap(found(films[1:]), known(films[1:])).item() < 1e-3
    assert found.slope == pytest.approx(known.slope, abs=1.0)
    assert found.middle == pytest.approx(known.middle, abs=0.03)


def test_selection_by_mode(metric):
    films = _films(1).expand(3, -1, -1, -1)
    vectors = torch.stack([LocalLaplacian(gamma=g).vector for g in (0.6, 1.0, 1.9)])
    styles = LocalLaplacian.process(films, vectors)
    reference = styles[1:2]
    assert select_styles(styles, reference, 1, metric=metric).tolist() == [1]
    order = metric.similarity(styles, reference.expand(3, -1, -1, -1)).argsort()
    far = select_styles(styles, reference, 2, metric=metric, mode="farthest")
    assert far.tolist() == order[:2].tolist()
    diverse = select_styles(styles, reference, 3, metric=metric, mode="diverse")
    assert sorted(diverse.tolist()) == [0, 1, 2]
    for k in (0, 4):
        with pytest.raises(ValueError, match="k must be between 1 and the 3"):
            select_styles(styles, reference, k, metric=metric)
    with pytest.raises(ValueError, match="mode must be one of"):
        select_styles(styles, reference, 1, metric=metric, mode="best")


def test_a_bank_and_test_time_augmentation_take_it(metric):
    films = [film.expand(3, -1, -1) for film in _films(4)]
    bank = StyleBank.from_images(films, "colorist", describe=metric.embed)
    assert bank.statistics.shape == (4, 512)
    chosen = select_styles(bank.statistics, films[2][None], 1, metric=metric)
    assert chosen.tolist() == [2]
    model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    tta = StyleTTA(model, "colorist", bank, n=2, select="nearest", describe=metric.embed)
    assert tta(torch.stack(films[:2])).shape == (2, 3)


def test_graded_loss_asks_for_the_distances_of_the_parameters():
    vectors = [torch.rand(5, 3), torch.rand(4, 2)]
    inside = torch.cat([torch.ones(5), torch.zeros(4)])
    angles = torch.tensor([0.0, math.acos(1.0 - 0.25)])
    apart = torch.tensor([[0.0], [1.0]])
    unit = torch.stack([angles.cos(), angles.sin()], dim=1)
    assert graded_loss(unit, unit, [apart]) < 1e-12
    assert graded_loss(unit, unit.flip(0), [apart]) > 0.01
    by_pipeline = torch.stack([inside, 1.0 - inside], dim=1)
    one_style = [torch.zeros_like(v) for v in vectors]
    assert graded_loss(by_pipeline, by_pipeline, one_style) < 1e-12
    assert graded_loss(torch.ones(9, 2), torch.ones(9, 2), one_style) > 0.1


@pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES)
def test_dose_and_exposure_do_not_matter(pipeline):
    film = 0.3 + 0.4 * _films(2)
    vectors = pipeline.sample(2, torch.Generator().manual_seed(0))
    one, other = (
        pipeline.process(image, vectors, torch.Generator().manual_seed(1))
        for image in (film, 0.5 * film + 0.1)
    )
    assert (one - other).abs().mean() < 0.02
