"""Banks of few styles that stand for many: vectors, medoids, domains, contact sheets."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from styleaug import StyleBank
from styleaug.styles.medoids import SAMPLE, color_statistics, find_medoids


def _sum(points, chosen):
    return torch.cdist(points[chosen].double(), points.double()).min(dim=0).values.sum().item()


@given(st.integers(0, 2**31), st.integers(4, 9), st.integers(1, 3))
def test_no_swap_of_a_medoid_helps_and_the_best_is_near(seed, size, count):
    points = torch.randn(size, 2, generator=torch.Generator().manual_seed(seed))
    chosen = find_medoids(points, count)
    found = _sum(points, chosen)
    for place, row in itertools.product(range(count), range(size)):
        assert _sum(points, [*chosen[:place], row, *chosen[place + 1 :]]) >= found - 1e-6
    best = min(_sum(points, list(rows)) for rows in itertools.combinations(range(size), count))
    assert found <= 1.5 * best + 1e-6


def test_separate_clusters_get_one_medoid_each():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    sizes = (30, 100, 20, 40)
    parts = [c + 0.5 * torch.randn(n, 2) for c, n in zip(centres, sizes, strict=True)]
    labels = torch.arange(4).repeat_interleave(torch.tensor(sizes))
    assert sorted(labels[find_medoids(torch.cat(parts), 4)].tolist()) == [0, 1, 2, 3]


def test_equal_points_and_all_points_are_fine():
    assert len(set(find_medoids(torch.zeros(6, 2), 3))) == 3
    assert find_medoids(torch.randn(5, 2), 5) == [0, 1, 2, 3, 4]


def test_many_points_are_sampled_by_the_seed():
    points = torch.randn(SAMPLE + 100, 2)
    assert find_medoids(points, 2, seed=1) == find_medoids(points, 2, seed=1)
    assert abs(_sum(points, find_medoids(points, 2, seed=2)) / _sum(points, [0, 1])) < 1.0


def _domains():
    torch.manual_seed(1)
    images = [0.2 * torch.rand(3, 32, 32) + level for level in (0.0, 0.4, 0.8) for _ in range(6)]
    return images, [name for name in ("a", "b", "c") for _ in range(6)]


@pytest.mark.parametrize("representative", [True, False])
@pytest.mark.parametrize("given_as", ["argument", "items", "tensors"])
def test_every_domain_gives_as_many_styles(representative, given_as):
    images, labels = _domains()
    arguments = {"per_domain": 2, "representative": representative}
    dataset = images
    if given_as == "items":
        dataset = [{"image": i, "domain": d} for i, d in zip(images, labels, strict=True)]
    elif given_as == "tensors":
        arguments["domains"] = [torch.tensor(ord(label)) for label in labels]
    else:
        arguments["domains"] = labels
    bank = StyleBank.from_dataset(dataset, "colorist", **arguments)
    assert [labels[int(name)] for name in bank.names] == ["a", "a", "b", "b", "c", "c"]


def test_representative_styles_cover_what_random_ones_miss():
    images, labels = _domains()
    images, labels = images[:8], labels[:8]  # six of one domain, two of another
    bank = StyleBank.from_dataset(images, "colorist", count=2, representative=True)
    assert {labels[int(name)] for name in bank.names} == {"a", "b"}


def test_the_contact_sheet_shows_what_was_picked(tmp_path):
    images, labels = _domains()
    path = tmp_path / "new" / "sheet.png"
    StyleBank.from_dataset(
        images, "colorist", per_domain=2, domains=labels, representative=True, sheet=path
    )
    with Image.open(path) as sheet:
        assert sheet.width > sheet.height / 2
        grey = sheet.convert("L")
        middles = [grey.getpixel((80, 20 + 80 + row * 184)) for row in range(3)]
    assert middles == sorted(middles)
    assert middles[0] + 100 < middles[2]


def test_statistics_live_as_long_as_the_bank(photos, tmp_path):
    bank = StyleBank.from_images(photos, "reinhard")
    assert torch.allclose(bank.statistics, color_statistics(photos), atol=1e-4)
    bank.save(tmp_path / "bank.safetensors")
    again = StyleBank.load(tmp_path / "bank.safetensors")
    assert torch.equal(again.statistics, bank.statistics)
    assert again.code.maps.keys() == bank.code.maps.keys()
    assert torch.equal(bank[1:3].statistics, bank.statistics[1:3])
    assert torch.equal(StyleBank.cat([bank, bank]).statistics[4:], bank.statistics)
    bare = StyleBank(bank.code)
    assert bare.statistics is None
    assert StyleBank.cat([bank, bare]).statistics is None
    bare.save(tmp_path / "bare.safetensors")
    assert StyleBank.load(tmp_path / "bare.safetensors").statistics is None


def test_styles_can_be_described_otherwise(photos):
    bank = StyleBank.from_images(photos, "colorist", describe=lambda x: x.mean((2, 3)))
    assert torch.allclose(bank.statistics, photos.mean((2, 3)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"count": 2, "per_domain": 2}, "count or per_domain, got 2 and 2"),
        ({"per_domain": 7, "domains": ["x"] * 4 + ["y"] * 4}, r"between 1 and 4 \(domain 'x'\)"),
        ({"per_domain": 0}, "per_domain must be between 1 and 8"),
        ({"per_domain": 1, "domains": ["x"]}, "8 labels"),
        ({"count": 9, "representative": True}, "count must be between 1 and 8"),
        ({"describe": lambda x: x.mean()}, r"describe must return \(1, K\)"),
    ],
)
def test_wrong_wishes_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        StyleBank.from_dataset([torch.rand(3, 32, 32)] * 8, "colorist", **arguments)


def test_statistics_of_another_number_of_styles_are_refused(photos):
    bank = StyleBank.from_images(photos, "colorist")
    with pytest.raises(ValueError, match=r"statistics must be \(4, K\), got \(3, 6\)"):
        StyleBank(bank.code, statistics=bank.statistics[:3])
