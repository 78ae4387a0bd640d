"""What the benchmark of the audit counts: drops of known networks, and how they are ranked."""

import pytest
import torch

from benchmarks import audit
from benchmarks.domains import Samples
from benchmarks.tables import SECTIONS


def _samples(levels, domain):
    images = torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).clone()
    targets = (torch.tensor(levels) > 0.5).long()
    return Samples(images, targets, (domain,) * len(levels), ("dark", "light"))


def _brighter(images):
    light = images.mean((1, 2, 3))
    return torch.stack([0.45 - light, light - 0.45], dim=1)


def test_the_true_drop_is_that_of_the_mean_of_the_others():
    home, near, far = (
        _samples(levels, name)
        for levels, name in (
            ([0.2, 0.4, 0.6, 0.8], "home"),
            ([0.2, 0.48, 0.6, 0.8], "near"),
            ([0.47, 0.48, 0.6, 0.8], "far"),
        )
    )
    found = audit.true_drop(_brighter, home, {"near": near, "far": far}, "cpu")
    assert found["true score at home"] == 1.0
    assert found["true score in near"] == 0.75
    assert found["true score in far"] == 0.5
    assert found[audit.TRUE] == pytest.approx(1.0 - 0.625)


def test_ranks_are_compared_within_homes():
    runs = [
        {
            **{"home": home, "architecture": "plain", "arm": drop, "seed": 0},
            **{audit.MAIN: drop, "score at home": -drop, audit.TRUE: offset + drop**3},
        }
        for home, offset in (("a", 0.0), ("b", -9.0))
        for drop in (0.1, 0.2, 0.3, 0.5)
    ]
    rows = {row["predictor"]: row for row in audit.summary(runs)}
    assert rows[audit.MAIN]["mean"] == 1.0
    assert rows["score at home"]["mean"] == -1.0
    assert rows[audit.MAIN]["a"]["networks"] == 4
    table = list(rows.values())
    text = SECTIONS["audit"][1]({"table": table, "means over seeds": table})
    assert text.count("| 1.00 (1.00 to 1.00)") == 2
    twice = [row | {h: row[h] | {"networks": 8} for h in "ab"} for row in table]
    text = SECTIONS["audit"][1]({"table": twice, "means over seeds": table})
    assert text.count("| 1.00 (1.00 to 1.00)") == 4
    assert "2 seeds of each, 8 networks" in text


def test_means_over_seeds_rank_trainings_and_seeds_are_drawn_together():
    noise = {0: 0.3, 1: -0.3}
    runs = [
        {
            **{"home": home, "architecture": "plain", "arm": arm, "seed": seed},
            **{audit.MAIN: 0.1 * arm + noise[seed] * (-1) ** arm, audit.TRUE: 0.1 * arm},
            **{f"true score in {'b' if home == 'a' else 'a'}": 0.5},
        }
        for home in "ab"
        for arm in range(1, 6)
        for seed in noise
    ]
    each, means = (audit.summary(found)[0]["a"] for found in (runs, audit.averaged(runs)))
    assert (each["networks"], means["networks"]) == (10, 5)
    assert each["spearman"] < 0.6 < means["spearman"] == 1.0
    together = audit.correlation([1, 2, 9, 8], [1, 2, 8, 9], groups=["x", "x", "y", "y"])
    assert (together["low"], together["high"]) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("task", "name"), [(task, name) for task, nets in audit.ARCHITECTURES.items() for name in nets]
)
def test_every_architecture_scores_every_class(task, name):
    net = audit.ARCHITECTURES[task][name](4, False).eval()
    expected = (2, 4) if task == "classes" else (2, 4, 32, 32)
    assert net(torch.rand(2, 3, 32, 32)).shape == expected


def test_a_segmenter_is_audited_and_dropped_by_dice():
    torch.manual_seed(0)
    images = torch.rand(4, 3, 32, 32)
    masks = (images.mean(dim=1) > 0.5).long()
    home = Samples(images, masks, ("home",) * 4, ("background", "nucleus"))
    darker = Samples(images * 0.5, masks, ("dark",) * 4, home.classes)

    def lighter(shown):
        light = shown.mean(dim=1, keepdim=True) - 0.5
        return torch.cat([-light, light], dim=1)

    found = audit.true_drop(lighter, home, {"dark": darker}, "cpu")
    assert found["true score at home"] == 1.0
    assert found[audit.TRUE] > 0.9
    known = audit.known_at_home(lighter, home, "cpu")
    assert known["score at home"] == 1.0
    assert 0.0 < known[audit.MAIN] < known["audit: drop in the worst found"] <= 1.0
    assert known["drop under jitter"] < known["drop under strong jitter"]
