"""StyleTTA against brute force, its determinism, its choice of styles and its manners."""

import copy
import warnings
from collections import OrderedDict

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference
from PIL import Image
from torch import nn

from styleaug import StyleBank, StyleTransfer, create_stylizer
from styleaug.styles.medoids import color_statistics
from styleaug.tta import KeepsEdges, KeepsStructure, Restores, StyleTTA
from styleaug.tta.merging import merge_views

CLASSES = 5


class Scores(nn.Module):
    """A small classifier with batch normalisation."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5)
        )
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        return 8.0 * self.head(self.body(x).mean((2, 3)))


class Maps(nn.Module):
    def forward(self, x):
        return torch.cat([x, 1.0 - x], dim=1) * 4.0


@pytest.fixture
def images():
    return torch.rand(5, 3, 40, 48)


@pytest.fixture
def bank(photos):
    more = [photo * gain for photo in photos for gain in (0.3, 0.6, 1.0)]
    return StyleBank.from_images(more, "colorist")


def _views(images, bank, styles, alpha=1.0):
    stylizer = create_stylizer("colorist")
    return [stylizer.stylize(images, bank.code[[s] * len(images)], alpha) for s in styles]


def _styles(tta, images):
    tta.return_stats = True
    return tta(images)[1].styles


@pytest.mark.parametrize("merge", ["mean_prob", "mean_logit", "max", "vote"])
@pytest.mark.parametrize("identity", [True, False])
def test_scores_are_those_of_a_loop(images, bank, merge, identity):
    model = Scores().eval()
    tta = StyleTTA(model, "colorist", bank, n=4, merge=merge, include_identity=identity, alpha=0.8)
    styles = _styles(tta, images)[0].tolist()
    views = _views(images, bank, styles, 0.8) + [images] * identity
    with torch.no_grad():
        logits = torch.stack([model(view) for view in views])
    chances = logits.softmax(-1)
    expected = {
        "mean_prob": chances.mean(0),
        "mean_logit": logits.mean(0).softmax(-1),
        "max": chances.amax(0) / chances.amax(0).sum(-1, keepdim=True),
        "vote": nn.functional.one_hot(chances.argmax(-1), CLASSES).float().mean(0),
    }[merge]
    assert torch.allclose(tta(images)[0], expected, atol=1e-5)


def test_statistics_are_those_of_a_loop(images, bank):
    model = Scores().eval()
    tta = StyleTTA(model, "colorist", bank, n=3, return_stats=True)
    merged, stats = tta(images)
    with torch.no_grad():
        views = [*_views(images, bank, stats.styles[0].tolist()), images]
        chances = torch.stack([model(view).softmax(-1) for view in views]).double()
    mean = chances.mean(0)
    entropy = -(mean * mean.log()).sum(-1)
    each = -(chances * chances.log()).sum(-1).mean(0)
    agreement = (chances.argmax(-1) == mean.argmax(-1)).double().mean(0)
    assert torch.allclose(stats.mean.double(), mean, atol=1e-5)
    assert torch.allclose(stats.std.double(), chances.std(0, correction=0), atol=1e-5)
    assert torch.allclose(stats.entropy.double(), entropy, atol=1e-4)
    assert torch.allclose(stats.mutual_information.double(), entropy - each, atol=1e-4)
    assert torch.allclose(stats.agreement.double(), agreement)
    assert stats.accepted.all()
    assert torch.equal(merged, stats.mean)


def test_sigmoid_treats_labels_one_by_one(images, bank):
    tta = StyleTTA(Scores(), "colorist", bank, n=3, activation="sigmoid", return_stats=True)
    merged, stats = tta(images)
    assert ((merged > 0) & (merged < 1)).all()
    assert stats.entropy.shape == stats.agreement.shape == (5, CLASSES)
    binary = -(merged * merged.log() + (1 - merged) * (1 - merged).log())
    assert torch.allclose(stats.entropy, binary, atol=1e-5)


def test_dense_maps_and_dicts_keep_their_shape(images, bank):
    class Both(Maps):
        def forward(self, x):
            return {"maps": super().forward(x), "scores": x.mean((2, 3))}

    merged, stats = StyleTTA(Both(), "colorist", bank, n=3, return_stats=True)(images)
    assert merged["maps"].shape == (5, 6, 40, 48)
    assert merged["scores"].shape == (5, 3)
    assert stats["maps"].entropy.shape == (5, 40, 48)
    assert torch.allclose(merged["maps"].sum(1), torch.ones(5, 40, 48), atol=1e-5)


def test_volumes_are_seen_in_one_style_as_a_whole(bank):
    volume = torch.rand(2, 1, 32, 36, 5)
    tta = StyleTTA(Maps(), "colorist", bank, n=2, include_identity=False, select="nearest")
    assert tta(volume).shape == (2, 2, 32, 36, 5)
    core = StyleTransfer("colorist", styles=bank)
    views = StyleTTA(lambda x: x, core, n=1, activation=None, merge="mean_logit")
    views.include_identity = False
    grey = views(volume)
    flat = torch.stack([grey.flatten(1).std(1), volume.flatten(1).std(1)])
    ratio = (grey[..., 0].flatten(1).std(1), grey[..., 4].flatten(1).std(1))
    # slices that differ in contrast still differ by the same factor
    before = (volume[..., 0].flatten(1).std(1), volume[..., 4].flatten(1).std(1))
    assert torch.allclose(ratio[0] / ratio[1], before[0] / before[1], rtol=0.05), flat


def test_one_style_without_identity_is_plain_alignment(images, bank):
    model = Scores().eval()
    tta = StyleTTA(model, "colorist", bank, n=1, include_identity=False, activation=None,
                   merge="mean_logit", return_stats=True)  # fmt: skip
    output, stats = tta(images)
    (view,) = _views(images, bank, stats.styles[0].tolist())
    with torch.no_grad():
        assert torch.allclose(output, model(view), atol=1e-5)


def test_a_sample_gets_the_same_views_in_any_batch(images, bank):
    tta = StyleTTA(Scores().eval(), "colorist", bank, n=3, seed=5)
    names = list("abcde")
    whole = tta(images, ids=names)
    order = [3, 0, 4, 1, 2]
    shuffled = tta(images[order], ids=[names[i] for i in order])
    single = torch.cat([tta(images[i : i + 1], ids=[names[i]]) for i in range(5)])
    assert torch.allclose(whole[order], shuffled, atol=1e-6)
    assert torch.allclose(whole, single, atol=1e-6)
    tta.return_stats = True
    styles = tta(images, ids=names)[1].styles
    assert len({tuple(row) for row in styles.tolist()}) > 1
    assert all(len(set(row)) == 3 for row in styles.tolist())


def test_without_ids_batches_do_not_matter_either(images, bank):
    tta = StyleTTA(Scores().eval(), "colorist", bank, n=3)
    parts = torch.cat([tta(images[:2]), tta(images[2:])])
    assert torch.allclose(tta(images), parts, atol=1e-6)


@pytest.mark.parametrize("select", ["nearest", "farthest"])
def test_styles_are_chosen_by_distance(images, bank, select):
    tta = StyleTTA(Scores(), "colorist", bank, n=4, select=select)
    found = _styles(tta, images)
    distances = torch.cdist(color_statistics(images), bank.statistics)
    expected = distances.argsort(1, descending=select == "farthest")[:, :4]
    assert torch.equal(found, expected)


def test_styles_are_chosen_by_a_function(images, bank):
    def second(contents, bank, count):
        assert contents.shape == (5, 3, 40, 48)
        return torch.full((len(contents), count), 2)

    assert (_styles(StyleTTA(Scores(), "colorist", bank, n=2, select=second), images) == 2).all()
    wrong = StyleTTA(Scores(), "colorist", bank, n=2, select=lambda c, b, n: torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"select must return \(5, 2\)"):
        wrong(images)


def test_another_description_of_style(images, photos):
    bank = StyleBank.from_images(photos, "colorist", describe=lambda x: x.amax((2, 3)))
    with pytest.raises(ValueError, match="of 3 numbers, got 6"):
        StyleTTA(Scores(), "colorist", bank, n=2, select="nearest")
    tta = StyleTTA(Scores(), "colorist", bank, n=1, select="nearest",
                   describe=lambda x: x.amax((2, 3)))  # fmt: skip
    brightest = torch.cdist(images.amax((2, 3)), photos.amax((2, 3))).argmin(1)
    assert torch.equal(_styles(tta, images)[:, 0], brightest)


def test_views_go_through_in_few_calls(images, bank):
    sizes = []

    def model(x):
        sizes.append(len(x))
        return x.mean((2, 3))

    StyleTTA(model, "colorist", bank, n=3)(images)
    assert sizes == [20]
    sizes.clear()
    StyleTTA(model, "colorist", bank, n=3, max_batch=9)(images)
    assert sizes == [8, 8, 4]
    sizes.clear()
    StyleTTA(model, "colorist", bank, n=3, max_batch=3)(images)
    assert max(sizes) == 3
    assert sum(sizes) == 20


def test_memory_that_runs_out_halves_the_batch_and_says_so_once(images, bank):
    def model(x):
        if len(x) > 6:
            raise torch.OutOfMemoryError("out of memory")
        return x.mean((2, 3))

    tta = StyleTTA(model, "colorist", bank, n=3)
    with pytest.warns(UserWarning, match="max_batch") as caught:
        result = tta(images)
    assert len(caught) == 1
    plain = StyleTTA(lambda x: x.mean((2, 3)), "colorist", bank, n=3)(images)
    assert torch.allclose(result, plain, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tta(images)


def test_other_errors_of_the_model_come_through(images, bank):
    def model(x):
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="multiplied"):
        StyleTTA(model, "colorist", bank, n=3)(images)


def test_nothing_leaks(images, bank):
    model = Scores()
    model.train()
    model.head.eval()
    before, flags = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    tta = StyleTTA(model, "colorist", bank, n=3)
    output = tta(images)
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not output.requires_grad
    assert not torch.is_inference_mode_enabled()
    assert {k.split(".")[0] for k in tta.state_dict()} == {"model"}
    assert torch.equal(output, tta(images))  # no dropout


def test_flags_come_back_after_an_error(images, bank):
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 1))
    with pytest.raises(RuntimeError):
        StyleTTA(model, "colorist", bank, n=3)(images)
    assert model.training


def test_it_works_under_autocast(images, bank):
    tta = StyleTTA(Scores(), "colorist", bank, n=3, return_stats=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, stats = tta(images)
    assert torch.allclose(output.float().sum(1), torch.ones(5), atol=1e-2)
    assert stats.entropy.dtype == torch.float32


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_compiled_and_scripted_models(images, bank):
    model = Scores().eval()
    expected = StyleTTA(model, "colorist", bank, n=3)(images)
    traced = torch.jit.trace(model, images)
    compiled = torch.compile(model, backend="eager")
    for other in (traced, compiled):
        assert torch.allclose(StyleTTA(other, "colorist", bank, n=3)(images), expected, atol=1e-5)


def test_normalisation_belongs_behind_the_stylizer(images, bank):
    model = Scores().eval()
    tta = StyleTTA(model, "colorist", bank, n=2, preprocess=lambda x: (x - 0.5) / 0.2)
    inside = StyleTTA(lambda x: model((x - 0.5) / 0.2), "colorist", bank, n=2)
    assert torch.allclose(tta(images), inside(images), atol=1e-6)
    with pytest.raises(ValueError, match="Normalize"):
        tta((images - 0.5) / 0.2)


def test_eight_bit_images_stay_eight_bit(images, bank):
    seen = []

    def model(x):
        seen.append(x.dtype)
        return x.float().mean((2, 3))

    StyleTTA(model, "colorist", bank, n=2)((images * 255).to(torch.uint8))
    assert seen == [torch.uint8]


def test_rejected_views_are_replaced_by_the_image(images, bank):
    def accept(stylized, content):
        assert stylized.shape == content.shape == (10, 3, 40, 48)
        return torch.arange(len(stylized)) % 2 == 0

    model = Scores().eval()
    tta = StyleTTA(model, "colorist", bank, n=2, accept=accept, return_stats=True)
    output, stats = tta(images)
    assert stats.accepted.tolist() == [[True, False]] * 5
    (view,) = _views(images, bank, [int(stats.styles[0, 0])])
    with torch.no_grad():
        mean = torch.stack([model(x).softmax(-1) for x in (view, images, images)]).mean(0)
    assert torch.allclose(output, mean, atol=1e-5)


def test_guards_tell_a_stylized_image_from_another(photos):
    stylizer = create_stylizer("colorist")
    stylized = stylizer.stylize(photos, stylizer.encode_style(photos.flip(0)))
    for guard in (KeepsEdges(), KeepsStructure(0.5), Restores(stylizer, 0.6)):
        assert guard(stylized, photos).all(), guard
        assert not guard(torch.rand_like(photos), photos).any(), guard


def test_a_transform_brings_its_own_bank(images, bank):
    core = StyleTransfer("colorist", styles=bank)
    named = StyleTTA(Scores().eval(), "colorist", bank, n=2)
    owned = StyleTTA(named.model, core, n=2)
    given = StyleTTA(named.model, StyleTransfer("colorist"), bank, n=2)
    alone = StyleTTA(named.model, bank=bank, n=2)
    assert torch.allclose(named(images), owned(images))
    assert torch.allclose(named(images), given(images))
    assert torch.equal(named(images), alone(images))


def test_stylizers_that_encode_contents_once_agree_with_pairs(images, bank):
    from styleaug.stylizers.colorist import Colorist

    class Once(Colorist):
        def _stylize_grid(self, content, maps, alpha):
            return super()._stylize_grid(content, maps, alpha)

    names = list("abcde")
    model = Scores().eval()
    pairs = StyleTTA(model, "colorist", bank, n=3)(images, ids=names)
    once = Once().freeze()
    assert once.encodes_content_once
    assert torch.allclose(StyleTTA(model, once, bank, n=3)(images, ids=names), pairs, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0}, "n must be a whole number of at least 1"),
        ({"n": 13}, "n must be between 1 and 12"),
        ({"select": "best"}, "select must be one of"),
        ({"merge": "median"}, "merge must be one of"),
        ({"merge": "vote", "activation": None}, "needs probabilities"),
        ({"merge": "mean_prob", "activation": None}, "needs probabilities"),
        ({"activation": "relu"}, "activation must be one of"),
        ({"alpha": 1.5}, "alpha must be"),
        ({"max_batch": 0}, "max_batch must be a whole number of at least 1"),
        ({"max_batch": 1.5}, "max_batch must be a whole number of at least 1"),
        ({"n": 2.5}, "n must be a whole number of at least 1"),
    ],
)
def test_wrong_settings_are_refused_at_once(bank, arguments, words):
    with pytest.raises(ValueError, match=words):
        StyleTTA(Scores(), "colorist", bank, **arguments)


def test_a_bank_that_does_not_fit_is_refused_at_once(bank):
    with pytest.raises(ValueError, match="reinhard"):
        StyleTTA(Scores(), "reinhard", bank)
    with pytest.raises(ValueError, match="bank must"):
        StyleTTA(Scores(), "colorist")
    with pytest.raises(ValueError, match="bank must hold styles"):
        StyleTTA(Scores())
    with pytest.raises(ValueError, match="bank must be a set"):
        StyleTTA(Scores(), StyleTransfer("colorist"))
    with pytest.raises(ValueError, match="transform must have no value_range"):
        StyleTTA(Scores(), StyleTransfer("colorist", styles=bank, value_range=(0, 4095)))
    with pytest.raises(ValueError, match="at least one"):
        StyleTTA(Scores(), "colorist", StyleBank.from_images([], "colorist"))
    with pytest.raises(ValueError, match="statistics"):
        StyleTTA(Scores(), "colorist", StyleBank(bank.code), select="nearest")


def test_models_that_misbehave_are_named(images, bank):
    tta = StyleTTA(lambda x: x.mean(), "colorist", bank, n=2)
    with pytest.raises(ValueError, match=r"model must return \(15, C"):
        tta(images)
    with pytest.raises(TypeError, match=r"got list\. Wrap it"):
        StyleTTA(lambda x: [x], "colorist", bank, n=2)(images)
    with pytest.raises(TypeError, match="got list under 'a'"):
        StyleTTA(lambda x: {"a": [x]}, "colorist", bank, n=2)(images)
    calls = []

    def changing(x):
        calls.append(x)
        return torch.zeros(len(x), 1 + len(calls))

    with pytest.raises(ValueError, match="same shape for all views"):
        StyleTTA(changing, "colorist", bank, n=3, max_batch=2)(images)
    with pytest.raises(ValueError, match="one id per image"):
        StyleTTA(Scores(), "colorist", bank, n=2)(images, ids=["a"])


def test_a_merge_of_ones_own():
    outputs = torch.randn(4, 2, 3)
    median = merge_views(outputs, lambda values: values.median(0).values, "softmax")
    assert torch.equal(median, outputs.softmax(-1).median(0).values)


@pytest.mark.parametrize("stats", [False, True])
def test_predictions_can_be_edited_and_trained_on(images, bank, stats):
    tta = StyleTTA(Maps(), "colorist", bank, n=2, return_stats=stats)
    output = tta(images)[0] if stats else tta(images)
    assert not output.is_inference()
    output[output < 0.1] = 0.0
    scale = nn.Parameter(torch.ones(()))
    (output * scale).sum().backward()
    assert scale.grad == output.sum()
    if stats:
        tta(images)[1].entropy.mul_(0.5)


class Net(nn.Module):
    """A segmentation network of one layer, for images and volumes."""

    def __init__(self, dims, channels):
        super().__init__()
        self.conv = (nn.Conv2d, nn.Conv3d)[dims - 2](channels, 2, 3, padding=1)

    def forward(self, x):
        return 4.0 * self.conv(x)


@pytest.mark.parametrize("grad", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("meta", [False, True])
def test_a_sliding_window_over_the_wrapped_network(bank, grad, meta):
    images = torch.rand(1, 3, 72, 80)
    net = Net(2, 3).eval()
    tta = StyleTTA(net, "colorist", bank, n=2)
    given = MetaTensor(images) if meta else images
    with grad():
        found = sliding_window_inference(given, (48, 48), 2, predictor=tta)
    assert found.shape == (1, 2, 72, 80)
    assert torch.allclose(found.sum(1), torch.ones(1, 72, 80), atol=1e-5)
    corner = tta(images[..., :48, :48])
    # up to where the second window begins, the corner is the first window alone
    assert torch.allclose(torch.as_tensor(found)[..., :24, :30], corner[..., :24, :30], atol=1e-5)


@pytest.mark.parametrize("grad", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("size", [(64, 72), (48, 40, 6)])
def test_a_sliding_window_inside_the_wrapper(bank, grad, size):
    images = torch.rand(2, 1, *size)
    net = Net(len(size), 1).eval()
    window = (40, 40, 4)[: len(size)]

    def windows(views):
        return sliding_window_inference(views, window, 2, net, overlap=0.5)

    tta = StyleTTA(windows, "colorist", bank, n=2, return_stats=True)
    with grad():
        found, stats = tta(images)
    assert found.shape == (2, 2, *size)
    plain = StyleTTA(lambda x: torch.stack([windows(v[None])[0] for v in x]), "colorist", bank, n=2)
    assert torch.allclose(found, plain(images), atol=1e-5)
    assert stats.entropy.shape == (2, *size)


class Answer(OrderedDict):
    """What Hugging Face's models return: a dict with attributes, and more in it than tensors."""

    def __getattr__(self, name):
        return self[name]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda scores: Answer(logits=scores, hidden_states=(scores, scores)),
        lambda scores: (scores, scores[:, :1]),
        lambda scores: (Answer(logits=scores), None),
    ],
)
def test_scores_are_found_in_what_a_model_returns(images, bank, wrap):
    model = Scores().eval()
    expected = StyleTTA(model, "colorist", bank, n=2)(images)
    found = StyleTTA(lambda x: wrap(model(x)), "colorist", bank, n=2)(images)
    assert torch.equal(found, expected)


def test_what_is_no_batch_is_refused_with_the_way_out(images, bank):
    tta = StyleTTA(Scores(), "colorist", bank, n=2)
    picture = Image.new("RGB", (48, 40))
    for wrong in (picture, images.numpy()):
        with pytest.raises(TypeError, match=r"images must be a tensor .*torch.from_numpy"):
            tta(wrong)
    with pytest.raises(ValueError, match=r"image\[None\]"):
        tta(images[0])


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"risk": x}])
def test_a_softmax_of_one_column_is_refused(images, bank, wrap):
    def model(x):
        return wrap(x.mean((1, 2, 3))[:, None])

    with pytest.raises(ValueError, match="activation='sigmoid'"):
        StyleTTA(model, "colorist", bank, n=2)(images)
    output = StyleTTA(model, "colorist", bank, n=2, activation="sigmoid")(images)
    assert (output if torch.is_tensor(output) else output["risk"]).shape == (5, 1)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (lambda s, c: torch.ones(len(s), 3, dtype=torch.bool), r"got \(10, 3\) of torch.bool"),
        (lambda s, c: torch.ones(3, dtype=torch.bool), r"got \(3,\) of torch.bool"),
        (lambda s, c: torch.ones(len(s)), r"got \(10,\) of torch.float32"),
        (lambda s, c: True, r"got \(\) of torch.bool"),
    ],
)
def test_guards_judge_every_view(images, bank, verdict, words):
    with pytest.raises(ValueError, match=words):
        StyleTTA(Scores(), "colorist", bank, n=2, accept=verdict)(images)
