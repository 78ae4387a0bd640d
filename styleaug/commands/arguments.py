"""The arguments of all commands. No heavy module is imported here, so that help is quick."""

from __future__ import annotations

import argparse
from typing import Any

# Those of the library, which cannot be asked without importing PyTorch; a test compares them.
STYLIZER = "appearance"
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
TRAINING_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
ACCELERATORS = ("auto", "cpu", "cuda", "mps")
REGIONS = ("tissue", "tissue-on-black")
SELECTS = ("random", "nearest", "farthest")
MERGES = ("mean_prob", "mean_logit", "max", "vote")
ACTIVATIONS = ("softmax", "sigmoid")
KINDS = ("stained", "dermoscopy", "photograph", "fluorescence", "xray", "ct")

STYLIZE_EXAMPLES = """examples:
  styleaug stylize scans/ --style reference.png -o stylized/
  styleaug stylize 'slides/*.tif' --style lab_a/ lab_b/ --alpha 0.3:1.0 --seed 1 -o out/
  styleaug stylize scans/ --style lab_a/ --each-style --grid grid.png -o out/
  styleaug stylize ct12bit/ --style bank.safetensors --bits 12 -o out/
  styleaug stylize slide.svs --style bank.safetensors --tile 1024 -o out.ome.tiff
  torchrun --nproc-per-node 4 -m styleaug stylize scans/ --style lab_a/ -o out/ --skip-existing
"""

PREVIEW_EXAMPLES = """examples:
  styleaug preview scans/ --style lab_a/ -o page.html
  styleaug preview scans/ --style bank.safetensors --alpha 0.3:1.0 --count 12 -o page.html
"""

DEMO_EXAMPLES = """examples:
  styleaug demo
  styleaug demo --stylizer mkl -o mkl-demo
"""

TRAIN_EXAMPLES = """examples:
  styleaug train micro --content slides/ skin/ --style slides/ photos/ -o run --steps 20000
  styleaug train micro --config run/config.toml -o run --resume
  torchrun --nproc-per-node 4 -m styleaug train micro --content slides/ -o run
  torchrun --nnodes 2 --nproc-per-node 8 --rdzv-endpoint HOST:29400 -m styleaug train micro ...
"""

BANK_EXAMPLES = """examples:
  styleaug bank training_images/ -o bank.safetensors
  styleaug bank lab_a/ lab_b/ --count 32 --stylizer reinhard -o bank.safetensors
"""

TTA_EXAMPLES = """examples:
  styleaug bank training_images/ --count 64 -o bank.safetensors
  styleaug tta --model model.pt2 --bank bank.safetensors --input scans/ --out predictions.csv
  styleaug tta --model net.ts --bank bank.safetensors --input 'scans/*.png' --size 224 \\
      --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225 --select nearest -n 4 --out out.csv
  styleaug tta --model mypackage.nets:load_best --bank bank.safetensors --input scans/ --out o.csv
"""

AUDIT_EXAMPLES = """examples:
  styleaug audit --model model.pt2 --kind stained --input tiles/ --labels labels.csv -o audit/
  styleaug audit --model net.onnx --kind xray --input films/ --size 224 --grey \\
      --style other_hospitals/ -o audit/
  styleaug audit --model mypackage.nets:load_best --kind stained --input test/ --labels folders \\
      --classes benign malignant --fail-under 0.8 -o audit/
"""

EVALUATE_EXAMPLES = """examples:
  styleaug evaluate --content scans/ --style lab_a/ -o report
  styleaug evaluate --content scans/ --style lab_a/ --stylizer appearance micro -o report
  styleaug evaluate --content scans/ --style lab_a/ --stylized stylized/ -o report
  styleaug evaluate --content scans/ --style lab_a/ --metrics ssim edges style \\
      --features vgg19=vgg19.safetensors -o report
"""

EXPORT_EXAMPLES = """examples:
  styleaug export --style bank.safetensors -o align.onnx
  styleaug export --stylizer reinhard --style lab_a/ -o align.pt2
"""

LIST_EXAMPLES = """examples:
  styleaug list
  styleaug list stylizing-vit-tiny
"""

_NUMBERS = {
    "steps": "optimiser steps",
    "batch_size": "images per device and step",
    "accumulate": "batches per step",
    "size": "side of the crops in pixels",
    "devices": "processes on this machine",
    "workers": "loader workers per process",
    "seed": "seed of everything",
    "checkpoint_every": "steps between checkpoints",
    "log_every": "steps between scalars",
    "images_every": "steps between image grids",
}


_STYLE: dict[str, Any] = {
    "nargs": "+",
    "required": True,
    "metavar": "STYLE",
    "help": "style files, folders, patterns, or banks (styleaug bank)",
}


_MODEL: dict[str, Any] = {
    "required": True,
    "help": "TorchScript (.ts, .pt), torch.export (.pt2), ONNX (.onnx), module:factory",
}


def add_stylize_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug stylize``."""
    add = parser.add_argument
    add("content", nargs="+", metavar="CONTENT", help="files, folders or glob patterns to repaint")
    add("--style", **_STYLE)
    add("--weights", help="weights of the stylizer: a name, a file or hf:owner/name@revision")
    add("--alpha", default="1.0", help="strength in [0, 1], or a range LOW:HIGH (default 1.0)")
    add(
        "-o",
        "--output",
        default="stylized",
        metavar="DIR",
        help="output folder (stylized), or a .tiff for a slide",
    )
    add("--grid", metavar="FILE", help="also write a contact sheet of the first 8 x 8")
    add(
        "--each-style",
        action="store_true",
        help="write every content in every style, to DIR/STYLE/",
    )
    add("--size", type=int, metavar="N", help="resize contents to a longest side of N pixels first")
    add("--batch-size", type=int, default=8, metavar="N", help="most images at once (8)")
    add("--workers", type=int, default=4, metavar="N", help="threads that read and write (4)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the draw of styles (0)")
    add("--level", type=int, metavar="N", help="level of a slide, 0 is the finest (0)")
    add("--tile", type=int, metavar="N", help="side of the tiles of a slide in pixels (1024)")
    add("--compression", choices=("jpeg", "deflate"), help="compression of the tiles (jpeg)")
    add("--overwrite", action="store_true", help="replace existing outputs")
    add("--skip-existing", action="store_true", help="leave out contents whose outputs exist")
    add_slices_argument(parser)
    add_range_arguments(parser)
    add_region_argument(parser)
    add_stylizer_arguments(parser)
    parser.set_defaults(stylizer=None)  # that of a bank in --style, or the default


def add_preview_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug preview``."""
    add = parser.add_argument
    add("content", nargs="+", metavar="CONTENT", help="files, folders or glob patterns")
    add("--style", **_STYLE)
    add("-o", "--output", default="preview.html", metavar="FILE", help="the page (%(default)s)")
    add("--count", type=int, default=8, metavar="N", help="contents to show, evenly spaced (8)")
    add("--weights", help="weights of the stylizer: a name, a file or hf:owner/name@revision")
    add("--alpha", default="1.0", help="strength in [0, 1], or a range LOW:HIGH (default 1.0)")
    add("--size", type=int, metavar="N", help="resize contents to a longest side of N pixels first")
    add("--seed", type=int, default=0, metavar="N", help="seed of styleaug stylize (0)")
    add("--overwrite", action="store_true", help="replace an existing page")
    add_range_arguments(parser)
    add_region_argument(parser)
    add_stylizer_arguments(parser)
    parser.set_defaults(stylizer=None)  # that of a bank in --style, or the default


def add_stylizer_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that choose a stylizer and where it runs."""
    add = parser.add_argument
    add(
        "--stylizer",
        default=STYLIZER,
        metavar="NAME",
        help="see styleaug list (%(default)s)",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (auto: cuda if there is one)")
    add("--precision", default="auto", choices=PRECISIONS)


def add_region_argument(parser: argparse.ArgumentParser) -> None:
    """Declare where colour stylizers take statistics."""
    parser.add_argument(
        "--region",
        choices=REGIONS,
        help="of colorist, reinhard, mkl, histogram: leave glass, or black, as it is",
    )


def add_slices_argument(parser: argparse.ArgumentParser) -> None:
    """Declare which slices of a volume become styles."""
    parser.add_argument(
        "--slices",
        metavar="N",
        help="N slices of a volume as styles, or all (the whole volume; 8 for networks)",
    )


def add_range_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say what is black and white in files of 16 bits."""
    add = parser.add_argument
    add("--bits", type=int, metavar="N", help="bits in use in 16-bit files, such as 12 (16)")
    add(
        "--window",
        metavar="LOW:HIGH",
        help="black and white in their unit, or lung, bone, soft, brain, percentile",
    )


def add_demo_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug demo``."""
    add = parser.add_argument
    add("-o", "--output", default="styleaug-demo", metavar="DIR", help="folder (%(default)s)")
    add("--alpha", default="1.0", help="strength in [0, 1] (default 1.0)")
    add_stylizer_arguments(parser)


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug train``; those not given keep their defaults."""
    add = parser.add_argument
    add("recipe", metavar="RECIPE", help="what to train, such as micro")
    add(
        "--content", nargs="+", metavar="DIR", help="folders of content images, drawn equally often"
    )
    add("--style", nargs="+", metavar="DIR", help="folders of style images (the content folders)")
    add("--group", metavar="REGEX", help="images whose paths match the same text form a group")
    add("--same-kind", type=float, metavar="P", help="share of pairs from one content folder")
    add("-o", "--output", required=True, metavar="DIR", help="folder of checkpoints and weights")
    add("--config", metavar="FILE", help="TOML file of settings; arguments take precedence")
    add("--resume", action="store_true", help="continue from the last checkpoint")
    add("--precision", choices=TRAINING_PRECISIONS)
    add("--accelerator", choices=ACCELERATORS)
    add("--epochs", type=float, metavar="X", help="passes over the contents, in place of --steps")
    add("--learning-rate", type=float, metavar="X")
    add("--start", metavar="W", help="weights to start from: a file, or a published name")
    add("--features", metavar="FILE", help="weights of the perceptual backbone (torchvision's)")
    for name, text in _NUMBERS.items():
        add(f"--{name.replace('_', '-')}", type=int, metavar="N", help=text)


def add_bank_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug bank``."""
    add = parser.add_argument
    add("style", nargs="+", metavar="STYLE", help="style files, folders or glob patterns")
    add("-o", "--output", required=True, metavar="FILE", help="the .safetensors file to write")
    add("--count", type=int, metavar="N", help="keep N representative styles (medoids)")
    add("--weights", help="weights of the stylizer: a name, a file or hf:owner/name@revision")
    add("--overwrite", action="store_true", help="replace an existing bank")
    add_slices_argument(parser)
    add_range_arguments(parser)
    add_region_argument(parser)
    add_stylizer_arguments(parser)


def add_tta_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug tta``."""
    add = parser.add_argument
    add("--model", **_MODEL)
    add("--bank", required=True, metavar="FILE", help="a saved StyleBank (styleaug bank)")
    add("--input", nargs="+", required=True, metavar="PATH", help="files, folders, patterns")
    add("--out", required=True, metavar="CSV", help="table to write")
    add("--stylizer", metavar="NAME", help="stylizer of the bank (default: the one it names)")
    add("--weights", help="weights of the stylizer")
    add("-n", type=int, default=8, metavar="N", help="styles per image (8)")
    add("--no-identity", action="store_true", help="leave the image itself out of the views")
    add("--select", default="random", choices=SELECTS, help="which styles (random)")
    add("--merge", default="mean_prob", choices=MERGES, help="how views are merged (mean_prob)")
    add("--activation", default="softmax", choices=ACTIVATIONS, help="(softmax)")
    add("--alpha", type=float, default=1.0, help="strength in [0, 1] (1.0)")
    add("--keep-edges", type=float, metavar="R", help="reject views whose edges correlate less")
    add("--batch-size", type=int, default=8, metavar="N", help="most images at once (8)")
    add("--max-batch", type=int, metavar="N", help="most views at once (all of a batch)")
    add("--device", default="auto", help="auto, cpu, cuda ...")
    add("--seed", type=int, default=0, metavar="N", help="seed of random styles (0)")
    add("--overwrite", action="store_true", help="replace an existing table")
    add_model_input_arguments(parser)
    add_range_arguments(parser)


def add_audit_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug audit``."""
    add = parser.add_argument
    add("--model", **_MODEL)
    add("--input", nargs="+", required=True, metavar="PATH", help="files, folders, patterns")
    add("--kind", required=True, choices=KINDS, help="kind of the images")
    add(
        "--labels",
        metavar="CSV",
        help="table of file, label or mask, and group; or the word folders: these name the classes",
    )
    add("--classes", nargs="+", metavar="NAME", help="names of the model's columns, in their order")
    add("--style", nargs="+", metavar="STYLE", help="styles from elsewhere: files, folders, banks")
    add("--stylizer", metavar="NAME", help="paints the styles (default: that of a bank)")
    add("--weights", help="weights of the stylizer")
    add("--count", type=int, metavar="N", help="most images, evenly spaced (all)")
    add("--laboratories", type=int, default=8, metavar="N", help="random appearances (8)")
    add("--search", type=int, default=24, metavar="N", help="trials to find the worst one (24)")
    add("--no-trial", action="store_true", help="leave out the trial of test-time augmentation")
    add(
        "--activation",
        default="softmax",
        choices=(*ACTIVATIONS, "none"),
        help="of outputs (softmax)",
    )
    add("--fail-under", type=float, metavar="X", help="exit status 3 if a score is under this")
    add("--batch-size", type=int, default=16, metavar="N", help="most images at once (16)")
    add("--device", default="auto", help="auto, cpu, cuda ...")
    add("--seed", type=int, default=0, metavar="N", help="seed of everything random (0)")
    add("-o", "--output", required=True, metavar="DIR", help="folder of the report and its parts")
    add_model_input_arguments(parser)
    add_range_arguments(parser)


def add_model_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say what a model wants to be shown."""
    add = parser.add_argument
    add("--size", type=int, nargs="+", metavar="N", help="resize images to N x N, or to H W")
    add("--grey", action="store_true", help="the model takes one channel")
    add("--mean", type=float, nargs="+", metavar="M", help="channel means that the model expects")
    add("--std", type=float, nargs="+", metavar="S", help="channel deviations that it expects")


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug evaluate``."""
    add = parser.add_argument
    add("--content", nargs="+", required=True, metavar="PATH", help="files, folders, patterns")
    add("--style", nargs="+", required=True, metavar="PATH", help="files, folders, patterns")
    said = f"besides colour ({STYLIZER})"
    add("--stylizer", nargs="+", default=[STYLIZER], metavar="NAME", help=said)
    add("--weights", metavar="W", help="weights, if one stylizer is named")
    add("--stylized", metavar="DIR", help="images stylized elsewhere, named like the contents")
    add("--metrics", nargs="+", metavar="NAME", help="ssim psnr edges color restored drift ...")
    add("--features", nargs="+", default=[], metavar="NAME=FILE", help="weights of a backbone")
    add("--size", type=int, default=256, metavar="N", help="longest side of the images (256)")
    add("--seed", type=int, default=0, metavar="N", help="seed of the drawn styles (0)")
    add("-o", "--output", required=True, metavar="DIR", help="folder of the report")


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug export``."""
    add = parser.add_argument
    add("--style", nargs="+", required=True, metavar="STYLE", help="a saved bank, or style images")
    add("-o", "--output", required=True, metavar="FILE", help="program to write: .onnx or .pt2")
    add("--stylizer", metavar="NAME", help="stylizer to export (default: that of the bank)")
    add("--weights", help="weights of the stylizer: a name, a file or hf:owner/name@revision")
    add("--overwrite", action="store_true", help="replace existing files")


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``styleaug list``."""
    parser.add_argument("stylizer", nargs="?", metavar="NAME", help="show the page of this one")
