"""Speed and memory of contextual-adain, style-kernel and rast beside their plainest form.

``python -m benchmarks.deep`` compares, with random weights of the published sizes and one style per
image from a bank, this package's stylizers with eager code that follows the papers' formulas line
by line: the style is encoded at every call, attention holds its whole matrix, and dynamic
convolution copies every neighbourhood out (unfold).
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.record import add_device, time_in_turns, write_record
from styleaug import Stylizer, create_stylizer
from styleaug.stylizers.adain_network import AdaINConfig, AdaINNetwork
from styleaug.stylizers.rast_network import RASTConfig, RASTNetwork
from styleaug.stylizers.style_kernel_network import StyleKernelConfig, StyleKernelNetwork
from styleaug.weights import save_tensors

NAMES = ("contextual-adain", "style-kernel", "rast")
SIDES = (256, 512)


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="*", metavar="memory", help="memory alone, on a CPU")
    add_device(parser)
    options = parser.parse_args()
    if len(options.part) == 3:
        _once(*options.part)
        return
    torch.set_num_threads(2)
    if options.part != ["memory"]:
        speed(options.device)
    if options.device == "cpu":
        memory()


def memory() -> None:
    """Measure the memory of one image, print and write the record."""
    peaks = {
        f"{name}, {kind}, {side}": _peak(name, kind, side)
        for side in (*SIDES, 1024)
        for name in NAMES
        for kind in (("ours", "plain") if side < 1024 else ("ours",))
    }
    print(json.dumps(peaks, indent=1))
    print(write_record("deep-memory", {"peak MB over the start": peaks}))


def speed(device: str) -> None:
    """Measure the time of one image, print and write the record."""
    results: dict[str, object] = {}
    built = {name: build(name).to(device) for name in NAMES}
    for side in SIDES:
        content, style = (torch.rand(1, 3, s, s, device=device) for s in (side, 256))
        runs = {}
        for name, stylizer in built.items():
            plain = PLAIN[name]
            code, alpha = stylizer.encode_style(style), torch.ones(1, device=device)
            ours = stylizer(content, code, alpha)
            with torch.no_grad():
                gap = (plain(stylizer.network, content, style).clamp(0, 1) - ours).abs().max()
            results[f"{name}, {side}, largest difference"] = float(gap)
            runs[name] = lambda s=stylizer, c=code, x=content, a=alpha: s(x, c, a)
            runs[f"{name}, plain"] = torch.no_grad()(
                lambda s=stylizer, p=plain, x=content, y=style: p(s.network, x, y)
            )
        times = time_in_turns(runs, repeats=7, warm_up=1, device=device)
        results[f"ms at {side}"] = times
        results[f"plain / ours at {side}"] = {
            name: round(times[f"{name}, plain"]["median"] / times[name]["median"], 2)
            for name in NAMES
        }
        base = times["contextual-adain"]["median"]
        results[f"in units of contextual-adain at {side}"] = {
            name: round(times[name]["median"] / base, 2) for name in NAMES
        }
    print(json.dumps(results, indent=1))
    print(write_record("deep", results, device=device))


def build(name: str) -> Stylizer:
    """Return a stylizer of the published size with random weights."""
    torch.manual_seed(0)
    network, config = {
        "contextual-adain": (AdaINNetwork, AdaINConfig()),
        "style-kernel": (StyleKernelNetwork, StyleKernelConfig(temperature=10.0)),
        "rast": (RASTNetwork, RASTConfig()),
    }[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_tensors(network(config).state_dict(), path, {})
        (Path(folder) / "config.json").write_text(json.dumps(vars(config)))
        options = {} if name == "contextual-adain" else {"style_size": 256}
        stylizer = create_stylizer(name, weights=str(path), **options)
    if name == "contextual-adain":
        stylizer.style_size = None
    return stylizer


def plain_adain(network: AdaINNetwork, content: Tensor, style: Tensor) -> Tensor:
    """AdaIN, Eq. 8, on features of both images."""
    a, b = network.encode(content), network.encode(style)
    mean_a, mean_b = a.mean((2, 3), keepdim=True), b.mean((2, 3), keepdim=True)
    std_a, std_b = ((x.var((2, 3), keepdim=True) + 1e-5).sqrt() for x in (a, b))
    return network.decoder((a - mean_a) / std_a * std_b + mean_b)


def plain_rast(network: RASTNetwork, content: Tensor, style: Tensor) -> Tensor:
    """SANet, Eq. 2-3, at both scales."""
    outs = []
    pairs = zip(network.encode(content), network.encode(style), strict=True)
    modules = (network.transform.sanet4_1, network.transform.sanet5_1)
    for (c, s), module in zip(pairs, modules, strict=True):
        query = module.f(_mvn(c)).flatten(2).transpose(1, 2)
        key, value = module.g(_mvn(s)).flatten(2), module.h(s).flatten(2)
        attention = torch.softmax(query @ key, dim=2)
        gathered = (value @ attention.transpose(1, 2)).view(c.shape)
        outs.append(module.out_conv(gathered) + c)
    merged = outs[0] + F.interpolate(outs[1], outs[0].shape[2:])
    return network.decoder(network.transform.merge_conv(F.pad(merged, (1, 1, 1, 1), "reflect")))


def plain_kernels(network: StyleKernelNetwork, content: Tensor, style: Tensor) -> Tensor:
    """StyleKernel, Eq. 1-6, with the hard gate."""
    part, config = network.alignment, network.config
    a, b = network.encode(content), network.encode(style)
    q, k, v = part.query(_mvn(a)), part.key(_mvn(b)), part.value(b)
    q, k, v = (x.flatten(2).unflatten(1, (config.heads, -1)).transpose(2, 3) for x in (q, k, v))
    q, k = F.normalize(q, dim=3), F.normalize(k, dim=3)
    attention = torch.softmax(config.temperature * q @ k.transpose(2, 3), dim=3)
    scale, offset = part.gating(a).flatten(2).unsqueeze(3).chunk(2, dim=1)
    above = attention > (scale + offset) / attention.shape[3]
    above |= attention >= attention.amax(dim=3, keepdim=True)
    aligned = ((attention * above) @ v).transpose(2, 3).flatten(1, 2).view(a.shape)
    columns, rows, bias = network.predictor(aligned)
    reach, x = config.kernel // 2, _mvn(a)
    for kernel, pad in ((columns, (0, 0, reach, reach)), (rows, (reach, reach, 0, 0))):
        size = (config.kernel, 1) if pad[2] else (1, config.kernel)
        patches = F.unfold(F.pad(x, pad, mode="reflect"), size)
        patches = patches.view(len(x), x.shape[1], config.kernel, *x.shape[2:])
        x = (patches * kernel.transpose(1, 2)).sum(dim=2)
    return 0.5 * (network.decoder(x + bias) + 1.0)


PLAIN: dict[str, Callable[..., Tensor]] = {
    "contextual-adain": plain_adain,
    "style-kernel": plain_kernels,
    "rast": plain_rast,
}


def _mvn(x: Tensor) -> Tensor:
    mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt()


def _peak(name: str, kind: str, side: int) -> int:
    """Return the memory that one image takes in a process of its own, over what it had before."""
    command = [sys.executable, "-m", "benchmarks.deep", name, kind, str(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(float(done.stdout.split()[-1]))


def _once(name: str, kind: str, side: str) -> None:
    torch.set_num_threads(2)
    stylizer = build(name)
    content, style = torch.rand(1, 3, int(side), int(side)), torch.rand(1, 3, 256, 256)
    code = stylizer.encode_style(style)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew (Linux)
    before = _kilobytes("VmHWM")
    with torch.no_grad():
        if kind == "ours":
            stylizer(content, code, torch.ones(1))
        else:
            PLAIN[name](stylizer.network, content, style)
    print((_kilobytes("VmHWM") - before) / 1024)


def _kilobytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
