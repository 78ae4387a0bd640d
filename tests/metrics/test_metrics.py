"""Metrics against independent implementations and closed forms, in batches and over processes."""

import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from styleaug import create_stylizer
from styleaug.features import FeatureExtractor
from styleaug.metrics import (
    LPIPS,
    PSNR,
    SSIM,
    ArtFID,
    ConditionalInceptionScore,
    ContentLoss,
    EdgeCorrelation,
    FrechetDistance,
    IdempotencyDrift,
    RestorationSSIM,
    StyleLoss,
    TemporalLPIPS,
    frechet_distance,
    gaussian_moments,
)


def _pool():
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())


def _images(count=3, size=48, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")


def _seen(metric, *batches):
    metric.update(*batches)
    return metric.compute().item()


A, B = _images(), _images(seed=1)


def test_ssim_is_that_of_scikit_image():
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [
        structural_similarity(
            a.permute(1, 2, 0).double().numpy(),
            b.permute(1, 2, 0).double().numpy(),
            channel_axis=2,
            data_range=1.0,
            **options,
        )
        for a, b in zip(A, B, strict=True)
    ]
    assert _seen(SSIM(), A, B) == pytest.approx(np.mean(expected), abs=2e-3)


def test_psnr_is_that_of_scikit_image_and_has_a_peak_of_the_pair():
    expected = [
        peak_signal_noise_ratio(b.numpy(), a.numpy(), data_range=1.0)
        for a, b in zip(A, B, strict=True)
    ]
    assert _seen(PSNR(), A, B) == pytest.approx(np.mean(expected), abs=1e-3)
    peaks = torch.maximum(A.flatten(1).amax(1), B.flatten(1).amax(1)).double().log10().mean() * 20
    dynamic = _seen(PSNR("stylizing-vit"), A, B)
    assert dynamic == pytest.approx(np.mean(expected) + peaks.item(), abs=1e-3)
    assert _seen(PSNR(), A, A) == pytest.approx(100.0)


def test_edge_correlation_is_that_of_numpy():
    def sobel(image):
        grey = np.pad(image.mean(0).numpy(), 0)
        kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
        windows = np.lib.stride_tricks.sliding_window_view(grey, (3, 3))
        gradients = [(windows * k).sum((2, 3)) for k in (kernel, kernel.T)]
        return np.hypot(*gradients).ravel()

    expected = [np.corrcoef(sobel(a), sobel(b))[0, 1] for a, b in zip(A, B, strict=True)]
    assert _seen(EdgeCorrelation(), A, B) == pytest.approx(np.mean(expected), abs=1e-3)


@pytest.mark.parametrize(("ours", "theirs"), [("vgg16", "vgg"), ("alexnet", "alex")])
def test_lpips_is_that_of_its_authors(ours, theirs):
    lpips = pytest.importorskip("lpips")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, of torchvision's old arguments
        reference = lpips.LPIPS(net=theirs, pnet_rand=True, verbose=False).eval()
    metric = LPIPS(ours, weights=None)
    source = [p for name, p in reference.net.named_parameters()]
    for own, other in zip(metric.features.body.parameters(), source, strict=True):
        own.data.copy_(other)
    a, b = (torch.nn.functional.interpolate(x, (64, 64)) for x in (A, B))
    with torch.no_grad():
        expected = reference(2 * a - 1, 2 * b - 1).mean().item()
    assert _seen(metric, a, b) == pytest.approx(expected, rel=1e-3)


def test_temporal_lpips_compares_neighbouring_frames():
    clip = torch.nn.functional.interpolate(A, (64, 64))
    torch.manual_seed(0)
    metric = TemporalLPIPS(weights=None)
    pairs = [metric.measure(clip[i + 1 : i + 2], clip[i : i + 1]).item() for i in range(2)]
    assert _seen(metric, clip) == pytest.approx(np.mean(pairs), rel=1e-4)
    with pytest.raises(ValueError, match="at least 2"):
        metric.update(clip[:1])


def test_content_and_style_losses_follow_their_formulas():
    layers = ["relu1_1", "relu2_1"]
    torch.manual_seed(0)
    content = ContentLoss("vgg16", layers, weights=None)
    extractor = FeatureExtractor("vgg16", layers, weights=None)
    maps = []
    for metric in (content, *(StyleLoss("vgg16", layers, kind=k, weights=None) for k in KINDS)):
        extractor.load_state_dict(metric.features.state_dict())
        maps = list(zip(extractor(A), extractor(B), strict=True))
        expected = [KINDS.get(getattr(metric, "kind", ""), _square)(a, b) for a, b in maps]
        assert _seen(metric, A, B) == pytest.approx(torch.stack(expected).mean().item(), rel=1e-3)
    small = _images(size=40)
    assert _seen(StyleLoss("vgg16", layers, weights=None), A, small) > 0  # sizes may differ


def _square(a, b):
    return (a - b).square().mean()


def _moments(a, b):
    a, b = a.flatten(2), b.flatten(2)
    means = (a.mean(2) - b.mean(2)).square().mean()
    return means + (a.std(2, correction=0) - b.std(2, correction=0)).square().mean()


def _gram(a, b):
    def gram(x):
        return torch.einsum("bchw,bdhw->bcd", x, x) / x[0].numel()

    return (gram(a) - gram(b)).square().sum((1, 2)).mean()


KINDS = {"moments": _moments, "gram": _gram}


def test_frechet_distance_is_that_of_scipy():
    torch.manual_seed(0)
    a, b = torch.randn(40, 5), 1.5 * torch.randn(50, 5) + 0.3
    (mean_a, cov_a), (mean_b, cov_b) = gaussian_moments(a), gaussian_moments(b)
    root = sqrtm(cov_a.numpy() @ cov_b.numpy()).real
    expected = (mean_a - mean_b).square().sum() + (cov_a + cov_b).trace() - 2 * root.trace()
    assert frechet_distance(mean_a, cov_a, mean_b, cov_b).item() == pytest.approx(expected.item())


def test_the_distance_of_sets_is_that_of_their_moments_however_they_are_batched():
    a, b = _images(12, 16), _images(10, 16, seed=5)
    metric = FrechetDistance(_pool(), size=12)
    for part in a.split(5):
        metric.update(part, of="output")
    for part in b.split(3):
        metric.update(part, of="style")
    expected = frechet_distance(*gaussian_moments(_pool()(a)), *gaussian_moments(_pool()(b)))
    assert metric.compute().item() == pytest.approx(expected.item(), rel=1e-4)
    lonely = FrechetDistance(_pool(), size=12)
    lonely.update(a[:1], of="output")
    with pytest.raises(ValueError, match="at least two images, got 1"):
        lonely.compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_artfid_is_the_product():
    content, style = (torch.nn.functional.interpolate(x, (64, 64)) for x in (A, B))
    torch.manual_seed(0)
    metric = ArtFID(_pool(), size=12, weights=None)
    output = 0.5 * content + 0.5 * style
    found = _seen(metric, output, content, style)
    apart = metric.lpips.measure(output, content).mean()
    far = frechet_distance(*gaussian_moments(_pool()(output)), *gaussian_moments(_pool()(style)))
    assert found == pytest.approx(((1 + apart) * (1 + far)).item(), rel=1e-4)
    metric.reset()
    with pytest.raises(ValueError, match="at least one pair"):
        metric.compute()


def test_conditional_inception_score_has_its_bounds():
    classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    class Sure(nn.Module):
        def forward(self, images):
            return 100.0 * classifier(images)

    solid = torch.eye(3).view(3, 3, 1, 1).expand(3, 3, 8, 8)
    assert _seen(ConditionalInceptionScore(Sure()), solid) == pytest.approx(3.0, rel=1e-4)
    logits = classifier(A)
    likely = torch.softmax(logits.double(), 1)
    mean = likely.mean(0)
    expected = math.exp((likely * (likely / mean).log()).sum(1).mean())
    assert _seen(ConditionalInceptionScore(classifier), A) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="at least two"):
        ConditionalInceptionScore(classifier).update(A[:1])


def test_restoration_and_drift_follow_the_stylizer():
    stylizer = create_stylizer("colorist")
    content, style = 0.3 + 0.4 * A, 0.3 + 0.4 * B
    code = stylizer.encode_style(style)
    stylized = stylizer.stylize(content, code)
    assert _seen(RestorationSSIM(stylizer), stylized, content) > 0.99
    flat = torch.full_like(content, 0.5)
    assert _seen(RestorationSSIM(stylizer), flat, content) < 0.9  # what is lost stays lost
    assert _seen(IdempotencyDrift(stylizer), stylized, style) < 1e-3
    assert _seen(IdempotencyDrift(stylizer), content, style) > 0.02


@pytest.mark.parametrize("build", [SSIM, PSNR, EdgeCorrelation])
def test_batches_add_up(build):
    whole, parts, other = build(), build(), build()
    whole.update(A, B)
    parts.update(A[:1], B[:1])
    other.update(A[1:], B[1:])
    parts.merge_state(other)
    assert parts.compute().item() == pytest.approx(whole.compute().item(), rel=1e-6)


PROCESSES = """
import sys, torch, torch.distributed as dist
from styleaug.metrics import SSIM
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
images = torch.linspace(0, 1, 4 * 3 * 16 * 16).view(4, 3, 16, 16)
metric = SSIM()
metric.update(images[2 * rank : 2 * rank + 2], images.flip(3)[2 * rank : 2 * rank + 2])
print(metric.compute().item())
"""


def test_two_processes_agree(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", PROCESSES]
    running = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    found = [float(process.communicate(timeout=120)[0].split()[-1]) for process in running]
    images = torch.linspace(0, 1, 4 * 3 * 16 * 16).view(4, 3, 16, 16)
    expected = _seen(SSIM(), images, images.flip(3))
    assert found == pytest.approx([expected, expected], rel=1e-5)


def test_bad_input_is_named():
    metric = SSIM()
    with pytest.raises(ValueError, match="as many images, got 3 and 2"):
        metric.update(A, B[:2])
    with pytest.raises(ValueError, match="one shape"):
        metric.update(A, _images(size=40))
    with pytest.raises(ValueError, match="finite"):
        metric.update(A, torch.full_like(A, float("nan")))
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        metric.update(A, 255 * A)
    with pytest.raises(ValueError, match="at least one pair"):
        metric.compute()
    with pytest.raises(ValueError, match="preset must be one of"):
        PSNR("other")


def test_constant_images_have_defined_values():
    flat = torch.full((1, 3, 32, 32), 0.5)
    assert _seen(EdgeCorrelation(), flat, flat) == 1.0
    assert _seen(EdgeCorrelation(), flat, A[:1, :, :32, :32]) == pytest.approx(0.0, abs=1e-6)
    assert _seen(SSIM(), flat, flat) == pytest.approx(1.0)
