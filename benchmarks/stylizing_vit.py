"""Speed and accuracy of Stylizing ViT against the reference implementation.

Run ``python -m benchmarks.stylizing_vit [tiny small base]`` where the package ``stylizing-vit`` is
installed. All runs of one size take turns; both get the same random weights, which speed does not
depend on. Images are 224 x 224, eight at a time, and per image means per painted image. On a busy
machine set ``OMP_WAIT_POLICY=PASSIVE``, so that threads do not spin against other work.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import stylizing_vit
import torch
from torch import Tensor

from benchmarks.record import add_device, time_in_turns, write_record
from styleaug.stylizers import StyleCode
from styleaug.stylizers.stylizing_vit import StylizingViT
from styleaug.stylizers.vit.network import CONFIGS, StylizingViTNetwork

BATCH, SIDE = 8, 224
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
REPEATS = {"tiny": 15, "small": 9, "base": 5}


def _random_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = {n: torch.randn(t.shape, generator=generator) for n, t in state.items()}
    lively = {n: 0.2 if "norm" in n or n.endswith("bias") else 0.02 for n in state}
    return {name: tensor + lively[name] * noise[name] for name, tensor in state.items()}


def _pair(size: str) -> tuple[torch.nn.Module, StylizingViTNetwork]:
    theirs = stylizing_vit.create_model(backbone=size, train=False).eval()
    theirs.load_state_dict(_random_state(theirs.state_dict()))
    ours = StylizingViTNetwork(CONFIGS[size])
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def _runs(size: str, device: str) -> tuple[dict[str, Callable[[], Tensor]], dict[str, StyleCode]]:
    theirs, network = (net.to(device) for net in _pair(size))
    generator = torch.Generator().manual_seed(1)
    content, style = torch.rand(2, BATCH, 3, SIDE, SIDE, generator=generator).to(device)
    normalised = [(images - 0.5) / 0.25 for images in (content, style)]
    half = [images.bfloat16() for images in normalised]
    cast = _pair(size)[0].to(device, torch.bfloat16)
    alpha = torch.ones(BATCH, device=device)

    def under_autocast() -> Tensor:
        with torch.autocast(content.device.type, dtype=torch.bfloat16):
            return theirs(*normalised)

    runs: dict[str, Callable[[], Tensor]] = {
        "reference": lambda: theirs(*normalised),
        "reference, bf16 autocast": under_autocast,
        "reference, bf16 weights": lambda: cast(*half),
    }
    codes = {}
    for precision in ("fp32", "bf16"):
        for keep in ("kv", "tokens"):
            ours = StylizingViT(network, mean=MEAN, std=STD, keep=keep, precision=precision)
            ours.freeze()
            code = ours.encode_style(style)
            codes[f"{precision}, {keep}"] = code
            runs[f"{precision}, bank of {keep}"] = lambda o=ours, c=code: o(content, c, alpha)
            if keep == "kv":
                runs[f"{precision}, 8 styles of one content"] = lambda o=ours, c=code: (
                    o.grid_checked(content[:1], c, alpha[:1])
                )
                runs[f"{precision}, style encoded every time"] = lambda o=ours: o(
                    content, o.encode_checked(style), alpha
                )
                runs[f"{precision}, one image, bank"] = lambda o=ours, c=code: o(
                    content[:1], c[:1], alpha[:1]
                )
    runs["reference, one image"] = lambda: theirs(*(images[:1] for images in normalised))
    return runs, codes


@torch.no_grad()
def measure(size: str, device: str) -> dict[str, object]:
    """Time all runs of one size in turns, and compare what they paint."""
    runs, codes = _runs(size, device)
    times = time_in_turns(runs, repeats=REPEATS[size], warm_up=1, device=device)
    painted = (runs["reference"]() * 0.25 + 0.5).clamp(0, 1)
    errors = {
        precision: round((runs[f"{precision}, bank of kv"]() - painted).abs().max().item(), 7)
        for precision in ("fp32", "bf16")
    }
    single = {name for name in runs if "one image" in name}
    against = {name: "reference, one image" if name in single else "reference" for name in runs}
    return {
        "ms_per_image": {
            n: {k: round(v / _images(n), 2) for k, v in t.items()} for n, t in times.items()
        },
        "times_reference": {
            name: round(times[against[name]]["median"] / times[name]["median"], 2) for name in runs
        },
        "largest_difference_in_01": errors,
        "bytes_per_style": {name: code.nbytes // len(code) for name, code in codes.items()},
    }


def _images(name: str) -> int:
    return 1 if "one image" in name else BATCH


def main() -> None:
    """Measure the sizes that are named, all by default, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", help="tiny, small, base (all)")
    add_device(parser)
    options = parser.parse_args()
    torch.set_num_threads(2)
    results = {}
    for size in options.sizes or CONFIGS:
        results[size] = measure(size, options.device)
        print(size, results[size]["times_reference"], flush=True)
        path = write_record("stylizing-vit", results, device=options.device)
    print(path)


if __name__ == "__main__":
    main()
