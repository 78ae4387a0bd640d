"""Turn the newest records into the page of the documentation: ``python -m benchmarks.tables``."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import t

from benchmarks.built import WITHOUT_DETAIL, shipped
from styleaug.presets import PRESETS, Preset

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
README = Path(__file__).parents[1] / "README.md"
MARKS = ("<!-- benchmarks.compare -->", "<!-- end -->")
INTRODUCTION = """\
# Benchmarks

Every figure comes from a JSON file in `benchmarks/results/`, with machine, versions and commit;
[how benchmarks are run](../benchmarks/README.md) says how to repeat them. They are published when
they lose, too. `python -m benchmarks.tables` writes this page.
"""
NO_GPU = """\
**No figure of a GPU exists yet.** Every one below is of a CPU. `python -m benchmarks.gpu` measures
all that a GPU can change in one command of 25 minutes at most: stylizers from 224 to 4096 pixels
and from 1 to 256 images, beside copies of the batch, training steps, test-time augmentation and
other packages.
"""
Record = Mapping[str, Any]
_BLACK = ("PixelDistributionAdaptation", "PDA")
"""What was timed in older records on uint8 images, of which it makes black."""


def main() -> None:
    """Write the page, and the table of the README."""
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE, README)


def readme(text: str) -> str:
    """Return the README with the table of the newest comparison between its marks."""
    files = newest("compare")
    if not files:
        return text
    rows = json.loads(files[-1].read_text())["results"]["table"]
    as_they_ship = {name: row for name, row in rows.items() if not name.endswith(WITHOUT_DETAIL)}
    table = _compared({"table": as_they_ship}, SHORT)
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1], 1)[1]
    return f"{before}{MARKS[0]}\n\n{table}\n{MARKS[1]}{after}"


def page() -> str:
    """Return the page in Markdown; sections without a record are left out."""
    parts = [INTRODUCTION]
    if not list(RESULTS.glob("*/*--cuda-*.json")):
        parts.append(NO_GPU)
    for name, (title, render) in SECTIONS.items():
        for file in newest(name):
            record = json.loads(file.read_text())
            parts.append(f"## {title}\n\n{_origin(record, file)}\n\n{render(record['results'])}")
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def newest(name: str) -> list[Path]:
    """Return the newest record of a benchmark on every device that it was run on."""
    files = sorted(RESULTS.glob(f"*/{name}--*.json"))
    return list({file.name: file for file in files}.values())


def _origin(record: Record, file: Path) -> str:
    machine, versions = record["machine"], record["versions"]
    device = machine["gpu"] or machine["cpu"]
    return (
        f"{device}, threads: {machine['threads']}, torch {versions['torch']}; "
        f"`{file.parent.name}/{file.name}`."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def _shift(results: Record) -> str:
    """Return means over unseen domains, the best first, and what alignment changes."""
    settings, rows = results["settings"], results["table"]
    most = max(len(row["pairs"]) for row in rows)
    whole = [row for row in rows if len(row["pairs"]) == most]  # means of fewer do not compare
    used = [head for head, cell in SHIFT.items() if any(cell(row) != "" for row in whole)]
    lines = [[SHIFT[head](row) for head in used] for row in whole]
    tuned = settings.get("backbone", "small") != "small"
    network = "EfficientNet-Lite0, fine-tuned from its ImageNet weights: " if tuned else ""
    seeds = "one seed" if settings["seeds"] == 1 else f"up to {settings['seeds']} seeds"
    text = (
        f"{network}{settings['steps']} steps, {settings['size']} pixels, {seeds}. "
        "`unseen` is the mean over unseen domains and seeds, `worst` that of the worst pair, `at "
        "home` that on held-out images of the training domains; gain over no augmentation with its "
        "95 % interval and a paired t-test, over pairs of domain and seed, which speaks of these "
        "domains, not of another one. " + _runs_text(whole)
    )
    return f"{text}{_noted(results)}\n\n{_table(used, lines)}{_aligned(whole)}"


def _runs_text(rows: Sequence[Record]) -> str:
    """Return what the columns say that come from the runs, or that the runs are lost."""
    if not any("minutes" in row or "home over none" in row for row in rows):
        return (
            "The runs of this record were not kept: other paired differences cannot be computed "
            "from it."
        )
    paired = (
        "`over strong jitter`, tested alike and as it is, and `at home, over none` are paired over "
        "the same runs, with 95 % intervals. "
    )
    return (paired if any("home over none" in row for row in rows) else "") + (
        "`minutes`: median time of a training, one thread, on a machine that did other work, too."
    )


def _gained(row: Record) -> str:
    if "gain" not in row:
        return ""
    half = t.ppf(0.975, row["runs"] - 1) * row["standard error"]
    return f"{row['gain']:+.3f} ({row['gain'] - half:+.3f} to {row['gain'] + half:+.3f})"


def _paired(found: Record) -> str:
    """Return a difference with its interval, if it has one."""
    if not found:
        return ""
    mean = f"{found['mean']:+.3f}"
    return f"{mean} ({found['low']:+.3f} to {found['high']:+.3f})" if "low" in found else mean


SHIFT: dict[str, Callable[[Record], object]] = {
    "training": lambda row: row["arm"],
    "test": lambda row: row["test"],
    "unseen": lambda row: f"{row['unseen']:.3f}",
    "worst": lambda row: f"{row['worst']:.3f}",
    "at home": lambda row: f"{row['held']:.3f}",
    "at home, over none": lambda row: _paired(row.get("home over none", {})),
    "gain (95 %)": _gained,
    "p": lambda row: row.get("p", ""),
    "over strong jitter": lambda row: _paired(row.get("over strong jitter", {})),
    "over strong jitter as it is": lambda row: _paired(row.get("over strong jitter as it is", {})),
    "runs": lambda row: row["runs"],
    "minutes": lambda row: row.get("minutes", ""),
}


def _aligned(rows: Sequence[Record]) -> str:
    """Return what a test with styles changes for the same networks, the worst domain named."""
    plain = {row["arm"]: row for row in rows if row["test"] == "as it is"}
    found = {
        (row["arm"], row["test"]): changed
        for row in rows
        if row["test"] != "as it is" and row["arm"] in plain
        if (changed := row.get("over as it is") or _of_means(row, plain[row["arm"]]))
    }
    if not found:
        return ""
    lines = []
    for (arm, test), each in sorted(found.items(), key=lambda item: min(item[1]["pairs"].values())):
        pairs = each["pairs"]
        worst = min(pairs, key=lambda name: pairs[name])
        lower = f"{sum(change < 0 for change in pairs.values())} of {len(pairs)}"
        harm = f"{_domain(worst)} {pairs[worst]:+.3f}"
        lines.append((arm, test, _paired(each), each.get("p", ""), harm, lower))
    text = (
        "\nWhat the test with styles changes for the same networks: on the whole, and where it "
        "harms most (mean over seeds; with one seed also chance), the greatest harm first.\n\n"
    )
    head = ("training", "test", "change (95 %)", "p", "worst domain", "lower in")
    return text + _table(head, lines)


def _of_means(row: Record, plain: Record) -> Record:
    """Return the change of the means, where both rows have the same number of runs."""
    if row["runs"] != plain["runs"] or row["pairs"].keys() != plain["pairs"].keys():
        return {}
    pairs = {name: round(mean - plain["pairs"][name], 4) for name, mean in row["pairs"].items()}
    return {"mean": row["unseen"] - plain["unseen"], "pairs": pairs}


def _domain(pair: str) -> str:
    """Return a pair of domains; of one that was left out its name alone."""
    source, _, target = pair.partition(" > ")
    return target if source == target else f"{source} to {target}"


def _audit(results: Record) -> str:
    """Return the rank correlation of every predictor with the true drop."""
    rows, means = results["table"], results["means over seeds"]
    homes = [name for name in rows[0] if name not in ("predictor", "mean")]
    count, trainings = (found[0][homes[0]]["networks"] for found in (rows, means))
    seeds = f", {count // trainings} seeds of each, {count} networks" if count > trainings else ""
    text = (
        f"{trainings} kinds of networks (architectures and augmentations{seeds}) are trained on "
        "one laboratory. What is known of each from other images of that laboratory is ranked "
        "against its true drop in the others: Spearman's correlation, and its interval over "
        "resampled trainings. The first row was named beforehand; which of the others is highest "
        "was not, so that the highest may be so by chance. A network that does better at home has "
        "more to lose: the score at home is a predictor of its own, and part of every drop.\n\n"
    )
    head = ("predictor", *(f"trained on {home}" for home in homes))
    text += _table(head, _ranked(rows, homes))
    if not seeds:
        return text
    between = "\nMeans over seeds, which rank trainings with less of the chance of few images:\n\n"
    return text + between + _table(head, _ranked(means, homes))


def _ranked(rows: Sequence[Record], homes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the correlations of every predictor with their intervals."""
    cells = "{spearman:.2f} ({low:.2f} to {high:.2f})"
    return [(row["predictor"], *(cells.format(**row[home]) for home in homes)) for row in rows]


def _quality(results: Record) -> str:
    names = [n for n, found in results.items() if isinstance(found, dict) and "all" in found]
    keys = ("style", "edges", "edges, worst 1 %", "structure", "alpha", "repeat", "identity")
    rows = [(f"`{n}`", *(f"{results[n]['all'][key]:.3f}" for key in keys)) for n in names]
    text = (
        "Every kind of held-out image in the style of every other. `style`: distance of VGG "
        "statistics (the less the better; contents as they are: "
        f"{results[names[0]]['all']['style before']:.2f}). `alpha`: share of pairs whose distance "
        "falls with every step of alpha (0, .25, .5, .75, 1). `repeat`: change by stylizing again, "
        "as a share of the first change.\n\n"
    )
    return text + _table(("", *keys), rows)


TRUTH = {
    "psnr": "PSNR, dB",
    "over nothing": "over nothing, dB",
    "worst over nothing": "worst, dB",
    "worse": "worse than nothing",
    "ssim": "SSIM",
    "ciede2000": "CIEDE2000",
    "clouds": "clouds",
    "edges, worst 1 %": "edges, worst 1 %",
    "tint": "tint of glass",
    "ms": "ms",
}


def _truth(results: Record) -> str:
    text = (
        "One picture in two appearances, or two registered scans of one tissue: what a content "
        "should look like in a style is known. Appearances that are made are new to training in "
        "part only: the effects of training in ranges 1.3 to 1.7 times as wide as those of its "
        "last runs (1.1 to 1.3 times the widest of any run), where two in three single values lie "
        "within the trained range; amounts of stains within it, with offsets that are new; gamma, "
        "saturation and blur within it, with shifts of hue that are new "
        "(`benchmarks/answers.py`). The style is of another crop of the image (or tile of the "
        "slide: "
        "`same`), of another image of the set (`another`), or the answer itself (`oracle`). "
        "`clouds`: low-frequency colour that no map of colours explains, of 255. `tint`: error "
        "where the content is empty glass, of 255."
    )
    return text + _groups_of(results)


def _unseen(results: Record) -> str:
    text = (
        "As above, of sets of which training saw no image: immunohistochemistry and lung cytology, "
        "from which the registered pairs are, too, and white cells by CellaVision. The pairs are "
        "others than those above."
    )
    return text + _groups_of(results)


def _groups_of(results: Record) -> str:
    """Return the tables of all groups of cases but those of single sets."""
    text, timed = "\n", "`ms`: median milliseconds per picture, of reading the style and painting."
    if any("ms" in row for table in results["groups"].values() for row in table.values()):
        text = f" {timed}\n"
    for group, table in results["groups"].items():
        if ", style of" not in group or group.startswith("registered"):
            text += _answers(group, table, TRUTH)
    return text


def _answers(group: str, table: Record, keys: Mapping[str, str]) -> str:
    """Return the table of a group of cases, with the columns that were measured."""
    used = {k: head for k, head in keys.items() if any(k in found for found in table.values())}
    rows = [(f"`{n}`", *(found.get(k, "") for k in used)) for n, found in table.items()]
    count = next(iter(table.values()))["cases"]
    title = f"**{group[0].upper()}{group[1:]}**, {count} cases"
    return f"\n{title}\n\n" + _table(("", *used.values()), rows)


def _mr(results: Record) -> str:
    keys = ("psnr", "over nothing", "worst over nothing", "worse", "ssim", "edges, worst 1 %")
    sources = ", ".join(f"{name} ({count})" for name, count in results["slices"].items())
    plain = results["psnr of nothing"]
    text = (
        f"As above, for slices of the MR that nibabel and pydicom carry, which are few and small: "
        f"{sources}; of a file with one slice, two crops. Two scanners differ in gain, gamma, tone "
        "curve and sharpness, by up to twice the usual ranges, and in the second half in a bias "
        "field, too, which is no map of grey values. All is scaled by percentiles of its volume "
        '(`window="percentile"`), which alone brings two scans from '
        f"{plain['in units of the scanner']} to {plain['scaled by percentiles']} dB of each other. "
        "The style is another slice of the file (`same`), or one of another file (`another`): of "
        "another sequence, or of another part of the body.\n"
    )
    for group, table in results["groups"].items():
        text += _answers(f"MR{group[2:]}", table, {key: TRUTH[key] for key in keys})
    return text


def _regions(results: Record) -> str:
    """Return the rows of half-empty pictures, and of whole ones, which should not lose."""
    keys = {
        "over nothing": "over nothing, dB",
        "worst over nothing": "worst, dB",
        "worse": "worse than nothing",
        "edges, worst 1 %": "edges, worst 1 %",
        "tint": "tint of glass",
        "psnr of tissue": "PSNR of tissue, dB",
    }
    text = (
        "As above, of stained images: `tissue` rows take the statistics of both pictures within "
        'their tissue and leave the glass (`region="tissue"`). Where the glass is white, in '
        "content and answer, a scanner has balanced its white on it. Else its colour is that of "
        "the appearance, and in half of the cases it is the style that is half empty; `tint` and "
        "the PSNR of the tissue are of the others.\n"
    )
    groups = {
        "half-empty tiles, white glass": "Half-empty, white glass",
        "half-empty tiles": "Half-empty, glass in the colour of the appearance",
        "style of same": "Whole tiles",
    }
    for group, title in groups.items():
        table = results["groups"][group]
        rows = [(f"`{name}`", *(row.get(k, "") for k in keys)) for name, row in table.items()]
        text += f"\n**{title}**, {table['nothing']['cases']} cases\n\n"
        text += _table(("", *keys.values()), rows)
    return text


def _slides(results: Record) -> str:
    keys = ("pixels", "peak_gb", "seconds", "cpu_seconds", "output_gb")
    rows = [(run, *(found[key] for key in keys)) for run, found in results["runs"].items()]
    text = (
        f"`styleaug stylize` on slides that the benchmark makes, workers: {results['workers']}, "
        f"{results['compression']}: greatest memory of all processes (at most "
        f"{results['bound_gb']:g} GB), seconds on a machine that did other work, too, and "
        "processor seconds. Stopped half-way and started again it wrote the same bytes: "
        f"{'yes' if results['resumed'] else 'no'}.\n\n"
    )
    return text + _table(("", "pixels", "peak GB", "s", "processor s", "output GB"), rows)


def _presets(results: Record) -> str:
    """Return what the record says of every row of the presets."""
    head = ("kind", "stylizer", "gain, dB", "worst, dB", "edges, worst 1 %", "cases", "measured on")
    rows: list[Sequence[object]] = []
    groups = results["groups"] | _groups("mr")
    for kind, row in PRESETS.items():
        names = preset_groups(row, groups)
        if not names:
            rows.append((f"`{kind}`", f"`{row.stylizer}`", "", "", "", 0, "not measured"))
            continue
        for by in dict.fromkeys((row.stylizer, *row.avoid)):
            found = [groups[name][by] for name in names]
            gain = sum(figures["over nothing"] for figures in found) / len(found)
            worst = min(figures["worst over nothing"] for figures in found)
            edges = min(figures["edges, worst 1 %"] for figures in found)
            cases = sum(figures["cases"] for figures in found)
            shown = f"`{by}`" + ("" if by == row.stylizer else ", not advised")
            figures = (f"{gain:.2f}", f"{worst:.2f}", f"{edges:.2f}", cases)
            rows.append((f"`{kind}`", shown, *figures, ", ".join(row.measured)))
    text = (
        "\n### Presets\n\nWhat `styleaug.presets` recommends and what it does not advise, on the "
        "cases above (of MR, below) that stand for the kind, with styles of the same image and of "
        "another: PSNR over leaving the content as it is, at full strength. The cases are "
        "few; they tell 10 dB from 1, not 6 from 5.\n\n"
    )
    return text + _table(head, rows)


def _groups(name: str) -> Record:
    files = newest(name)
    groups: Record = json.loads(files[-1].read_text())["results"]["groups"] if files else {}
    return groups


def preset_groups(row: Preset, groups: Record) -> list[str]:
    """Return the groups of the record "truth" that stand for a preset."""
    origins = ("style of same", "style of another")
    names = [f"{name}, {origin}" for name in row.measured for origin in origins]
    return [name for name in names if name in groups]


COMPARED = {
    "style": "style, of the content's",
    "edges": "edges",
    "edges, worst 1 %": "worst 1 %",
    "ssim": "SSIM",
    "clouds": "clouds, of 255",
    "most clouds": "most clouds",
    "grain": "grain, of 255",
    "most grain": "most grain",
    "lpips": "LPIPS",
    "artfid": "ArtFID",
    "restored": "restored, SSIM",
    "own style": "own style, dB",
    "truth": "truth, dB",
    "worse": "worse than nothing",
    "times colorist": "time, of colorist's",
    "peak mb": "MB at 1024²",
}
SHORT = ("style", "edges", "edges, worst 1 %", "truth", "worse", "times colorist")


def _compare(results: Record) -> str:
    text = (
        f"{results['pairs']} pairs of images of {len(results['kinds'])} kinds, and "
        f"{results['cases']} cases with a known answer. `style`: what is left of the distance of "
        "VGG statistics to the style; `truth`: PSNR over leaving the content as it is, where the "
        "answer is known, and the share of cases in which that would have been better. "
    )
    if any("grain" in row for row in results["table"].values()):
        text += (
            "`clouds` and `grain`: slow changes of colour, and fine ones on even ground, which no "
            "map of the content's colours explains. "
        )
    if any("restored" in row for row in results["table"].values()):
        text += (
            "`restored`: SSIM of the content and what is made of the painted picture in the style "
            "of the content; `own style`: PSNR of a content in its own style, at most 60. "
        )
    text = f"{text}{results.get('note', '')}".strip()
    if any("artfid" in row for row in results["table"].values()):
        text += (
            " ArtFID takes its Fréchet distance kind by kind, from 40 features of "
            "EfficientNet-Lite0 on squares of 64 pixels: it ranks the rows, no more."
        )
    missing = [f"`{name}` ({why})" for name, why in results["missing"].items()]
    left = f"\nNot measured: {', '.join(missing)}.\n" if missing else ""
    used = _weights(results.get("weights", {}))
    return f"{text}{used}\n\n{_compared(results, COMPARED)}{left}"


def _weights(ids: Mapping[str, str]) -> str:
    """Return a sentence on the weights that took part, and which of them do not ship now."""
    parts = [
        f"`{name}` {digest}{'' if digest in shipped() else ' (not those that ship now)'}"
        for name, digest in ids.items()
    ]
    return f" Weights (`weights_id`): {', '.join(parts)}." if parts else ""


def _noted(results: Record) -> str:
    """Return what was written into a record by hand, if anything was."""
    return f" {results['note']}" if results.get("note") else ""


def _compared(results: Record, columns: Iterable[str]) -> str:
    """Return the table of a comparison, with the columns that were measured."""
    found = results["table"]
    used = [key for key in columns if any(key in row for row in found.values())]
    rows = [(f"`{name}`", *(row.get(key, "") for key in used)) for name, row in found.items()]
    return _table(("", *(COMPARED[key] for key in used)), rows)


def _protocol(results: Record) -> str:
    settings = results["settings"]
    rows = [
        (f"`{name}`", test, len(runs), *(f"{_mean(runs, test, key):.3f}" for key in _SCORES))
        for name, runs in results["runs"].items()
        for test in runs[0]
        if test != "seed"
    ]
    text = (
        "The protocol of Stylizing ViT on white blood cells, which stand in for its three data "
        "sets: a DenseNet-121 from scratch, trained on one laboratory, chosen on a second, tested "
        "on a third; "
        f"{settings['size']} pixels, at most {settings['epochs']} epochs, a portion of "
        f"{settings['portion']} of every batch stylized, means over the seeds."
    )
    text += _without_detail(settings) + _weights(results.get("weights", {})) + _noted(results)
    return f"{text}\n\n{_table(('training', 'tested', 'seeds', *_SCORES), rows)}"


def _without_detail(settings: Record) -> str:
    """Return a sentence where stylizers were built with ``detail=False``."""
    plain = settings.get("detail") is False
    return " Stylized with `detail=False`: no detail was put back." if plain else ""


_SCORES = ("accuracy", "balanced accuracy", "AUC")


def _mean(runs: list[Record], test: str, key: str) -> float:
    return statistics.mean(run[test][key] for run in runs)


MEASURED = {
    "style": "style, of the content's",
    "color": "colour, of the content's",
    "edges": "edges",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "flicker": "LPIPS of neighbouring frames",
    "restored": "restored, 128 px",
    "restored, 64 px": "64 px",
    "restored, 32 px": "32 px",
    "drift": "drift",
}
"""Columns of the training studies, and their heads."""


def _study(results: Record) -> str:
    """Return a row for every variant of a training study."""
    found, rows = results["settings"], results["variants"]
    keys = [key for key in MEASURED if all(key in row for row in rows.values())]
    start = f" from the weights {found['start']!r}" if found["start"] else " from random layers"
    text = (
        f"{found['steps']} steps of {found['batch_size']} pairs of {found['size']} pixels"
        f"{start} for every variant, one seed; measured at 128 pixels on held-out images of "
        f"{len(found['kinds'])} kinds, every kind in the style of every kind. `restored`: SSIM of "
        "the content and what is restored of it; `drift`: how much a second pass changes."
    )
    ids = results.get("weights", {})
    shown = {k: v for k, v in ids.items() if k == "start" or k.startswith("beside: ")}
    text += _weights(shown) + _noted(results)
    table = _table(
        ["variant", *(MEASURED[key] for key in keys)],
        [[name, *(f"{row[key]:.3f}" for key in keys)] for name, row in rows.items()],
    )
    return f"{text}\n\n{table}"


def _ct(results: Record) -> str:
    settings = results["settings"]
    runs = results.get("runs", [])
    rows = [
        (
            *(f"`{name}`", label, sum(run["training"] == name for run in runs) or 1),
            *(_over_seeds(runs, name, label, key) or f"{scores[key]:.3f}" for key in scores),
        )
        for name, found in results["table"].items()
        for label, scores in found.items()
    ]
    others = ""
    if "jitter" in results["table"]:
        others = "; jitter (brightness and contrast) and changes of appearance see none"
    text = (
        "Body, lung and bone, segmented by a U-Net that was trained on "
        f"{settings['source']} kernels in the window {settings['window']}; tested on the other "
        f"scanners and kernels in that window, and in {settings['other_window']}; "
        f"{settings['steps']} steps, "
        f"{settings['size']} pixels, mean, lowest and highest of the seeds. Styles "
        f"are unseen slices of other patients in the tested window{others}. "
        "The paper reports pixel accuracy "
        "0.777 to 0.958 and mean IoU 0.317 to 0.698, on spines of its own hospital."
    )
    text += _without_detail(settings) + _weights(results.get("weights", {})) + _noted(results)
    text += "\n\n"
    scores = ("pixel accuracy", "mean IoU", "accuracy at home", "at home")
    head = ("training", "tested on", "seeds", *scores)
    return text + _table(head, rows)


def _over_seeds(runs: Sequence[Record], training: str, label: str, key: str) -> str:
    """Return the mean of a score over the seeds, and between what it lies.

    Args:
        runs: A row per training and seed.
        training: Which of them.
        label: What was tested.
        key: The score.
    """
    found = [run[label][key] for run in runs if run["training"] == training]
    if not found:  # records of before kept means alone, of one seed
        return ""
    spread = f" ({min(found):.3f} to {max(found):.3f})" if len(found) > 1 else ""
    return f"{statistics.mean(found):.3f}{spread}"


def _codes(results: Record) -> str:
    kinds = {k: v for k, v in results.items() if isinstance(v, dict)}
    names = list(dict.fromkeys(name for found in kinds.values() for name in found))
    rows = [
        (kind, *(found[n]["retrieval"] if n in found else "" for n in names))
        for kind, found in kinds.items()
    ]
    count = results["appearances of each kind"]
    text = (
        f"Share of pictures whose nearest one, among {count} of another image in {count} "
        "appearances, was made alike; chance "
        f"{1 / count:.2f}. Appearances as above, new to training in part only.\n\n"
    )
    return text + _table(("", *(f"`{name}`" for name in names)), rows)


def _speed(results: Record) -> str:
    clones, twins = results["color_against_clone"], results["color_against_twins"]
    first = _table(
        ("batch of 32 × 224²", "ms", "in clones of the batch"),
        [
            (f"`{name}`", f"{found['median']:.1f}", clones["times_one_clone"][name])
            for name, found in clones["ms_per_batch"].items()
        ],
    )
    second = _table(
        ("ours / other", "times as fast"),
        [(k, v) for k, v in twins["times_faster"].items() if not k.endswith(_BLACK)],
    )
    return first + "\n" + second


def _step(results: Record) -> str:
    keys = list(next(iter(results["share of a step"].values())))
    rows = [
        (f"`{name}`", *(f"{100 * found[key]:.1f} %" for key in keys))
        for name, found in results["share of a step"].items()
    ]
    return "Added to a training step of a network, portion 0.33.\n\n" + _table(("", *keys), rows)


def _micro(results: Record) -> str:
    kept = results.get("images_per_s, blocks kept", {})  # of a CPU only
    units = results.get("times_colorist", {})  # older records measured micro alone
    rows = [
        (_of_micro(name), value, kept.get(name, ""), *([units.get(name, 1.0)] if units else []))
        for name, value in results["images_per_s"].items()
    ]
    names = ("", "images/s", "with large blocks of memory kept")
    text = _table((*names, *(["time, of colorist's"] if units else [])), rows)
    for key, title in (
        ("peak_gb_at_4096", "At 4096 × 4096"),
        ("gb_beyond_image_at_4096", "Beyond the image, with the output"),
    ):
        if key in results:
            found = (f"{_of_micro(name)}: {value} GB" for name, value in results[key].items())
            text += f"\n{title}: {', '.join(found)}.\n"
    return text


def _of_micro(name: str) -> str:
    """Return a row's name with the stylizer, which older records do not name."""
    return f"micro, {name}" if name.startswith(("fp32", "bf16")) else name


def _adapters(results: Record) -> str:
    loader = results["loader, 2 workers"]
    rows = [
        (name, found["images_per_s"], found["min"])
        for name, found in loader.items()
        if not name.endswith(_BLACK)
    ]
    loaded = _table(("in a loader with two workers", "images/s", "least"), rows)
    names = [name for name, found in results.items() if "over ColorJitter" in found]
    hosts = list(results[names[0]]["over ColorJitter"])
    one = [(host, *(results[name]["over ColorJitter"][host] for name in names)) for host in hosts]
    head = ("one 8-bit image of 224 pixels, in units of Albumentations' ColorJitter", *names)
    return f"{loaded}\n\n{_table(head, one)}"


def _folders(results: Record) -> str:
    names = [name for name, found in results.items() if isinstance(found, Mapping)]
    parts = ("files", "stylizer", "command")
    rows = []
    for name in names:
        seconds = (f"{results[name]['ms'][part]['median'] / 1e3:.1f}" for part in parts)
        over = (results[name][key] for key in ("over the slower", "over the cores"))
        rows.append((f"`{name}`", *seconds, *over))
    text = (
        f"{results['tiles']} PNG tiles of 256 pixels, {results['workers']} workers: seconds to "
        "read and write them, to paint them in memory, and for `styleaug stylize`, which does "
        "both; last, how much longer that is than the slower of both, and than the cores need for "
        "the work of both.\n\n"
    )
    head = (
        "",
        "files alone",
        "painting alone",
        "`styleaug stylize`",
        "over the slower",
        "over the cores",
    )
    return text + _table(head, rows)


def _deep(results: Record) -> str:
    sides = [key.removeprefix("ms at ") for key in results if key.startswith("ms at ")]
    names = list(results[f"plain / ours at {sides[0]}"])
    rows = []
    for name in names:
        row: list[object] = [f"`{name}`"]
        for side in sides:
            row += [
                f"{results[f'ms at {side}'][name]['median']:.0f}",
                results[f"plain / ours at {side}"][name],
            ]
        rows.append(row)
    head = [""]
    for side in sides:
        head += [f"ms at {side}²", "times as fast as its formulas"]
    return _table(head, rows)


def _stylizing_vit(results: Record) -> str:
    names = list(next(iter(results.values()))["times_reference"])
    rows = [
        (n, *(found["times_reference"].get(n, "") for found in results.values())) for n in names
    ]
    return "Times as fast as the reference implementation.\n\n" + _table(("", *results), rows)


def _stylex(results: Record) -> str:
    rows = []
    for label, found in results.items():
        if label in ("images", "settings"):
            continue
        for name, figures in found.items():
            rows.append(
                (label, name, *(figures[k] for k in ("retrieval", "spearman", "content gap")))
            )
    text = (
        "`retrieval`: top-1 among 32 styles, other anatomy (chance 0.03). `spearman`: distance "
        "against distance of parameters, other anatomy. `content gap`: distance by anatomy as a "
        "share of the distance by style.\n\n"
    )
    return text + _table(("", "", "retrieval", "spearman", "content gap"), rows)


def _cells(results: Record) -> str:
    """Return the figures of `benchmarks.gpu`, a row each, with what is missing and why."""
    flat: dict[str, Record] = {}
    for key, found in results.items():
        flat |= {f"{key}, {k}": v for k, v in found.items()} if "copy" in found else {key: found}
    keys = dict.fromkeys(k for found in flat.values() for k in found)
    columns = [k for k in keys if k not in ("repeats", "skipped", "memory", "failed")]
    rows = []
    for key, found in flat.items():
        why = found.get("skipped") or found.get("failed") or found.get("memory", "")
        why = f"memory: {why}" if "memory" in found else why
        figures = [
            found[k]["median"] if k == "ms" and k in found else found.get(k, "") for k in columns
        ]
        rows.append((key, *figures, why))
    head = ["peak MB" if k == "peak_mb" else k.replace("_per_", "/") for k in columns]
    return _table(("", *head, "missing because"), rows)


def _launches(results: Record) -> str:
    """Return what `benchmarks.gpu` counts of a call."""
    text = (
        "Operations and read-backs of one call on four images, of the stylizer and of "
        "`StyleTransfer` around it, whose check of float images reads back once. On a CPU some "
        "take another way than on a GPU, which is what is counted there: `appearance` paints in "
        "strips, and `histogram` reads back to count levels.\n\n"
    )
    return text + _cells(results)


SECTIONS: dict[str, tuple[str, Callable[[Record], str]]] = {
    "shift-arms": ("White cells: four classes, three laboratories", _shift),
    "shift-select": ("White cells: nearest or random styles at test time", _shift),
    "shift-arms-long": ("White cells: four times as many steps", _shift),
    "shift-imagenet": ("White cells: a network with ImageNet weights, fine-tuned", _shift),
    "shift-advice": ("White cells: alignment where it is advised", _shift),
    "shift-advice-imagenet": ("The same, fine-tuned from ImageNet", _shift),
    "shift-advice-cells": ("White cells: segmentation, alignment where it is advised", _shift),
    "shift-place": ("White cells: one map for all images of a place", _shift),
    "shift-place-cells": ("White cells: segmentation, one map for all images of a place", _shift),
    "shift-imagenet-long": ("White cells: the same network, trained longer", _shift),
    "shift-classes": ("White cells: other stylizers and strengths, earlier weights", _shift),
    "shift-nuclei": ("Nuclei: segmentation across stains", _shift),
    "shift-cells": ("White cells: segmentation across laboratories", _shift),
    "shift-cells-long": ("White cells: segmentation, trained longer", _shift),
    "shift-cells-changes": ("White cells: segmentation, changes of appearance", _shift),
    "audit": ("Does an audit foretell the drop?", _audit),
    "audit-nuclei": ("Does an audit foretell the drop? Nuclei", _audit),
    "truth": ("Against a known answer", lambda found: _truth(found) + _presets(found)),
    "truth-unseen": ("Against a known answer: sets that training never saw", _unseen),
    "mr": ("MR against a known answer", _mr),
    "regions": ("Half-empty tiles, statistics within the tissue", _regions),
    "codes": ("Codes of appearances", _codes),
    "compare": ("All stylizers", _compare),
    "protocol": ("White cells by the protocol of Stylizing ViT", _protocol),
    "ct": ("CT: tissues across scanners and windows", _ct),
    "rast-ablation": ("RAST without each of its losses", _study),
    "style-kernel-ablation": ("StyleKernel, part by part", _study),
    "quality": ("Style and structure", _quality),
    "stylex": ("StyleX", _stylex),
    "slides": ("Whole slides", _slides),
    "speed": ("Speed of colour stylizers", _speed),
    "micro": ("Speed of the learned stylizers that ship", _micro),
    "step": ("Cost in a training step", _step),
    "adapters": ("In a loader", _adapters),
    "folders": ("A folder of files", _folders),
    "deep": ("Speed of the attention systems", _deep),
    "stylizing-vit": ("Speed of Stylizing ViT", _stylizing_vit),
    "gpu-copies": ("In units of one copy of the batch", _cells),
    "gpu-launches": ("What a call asks of the device", _launches),
    "gpu-step": ("Beside a training step", _cells),
    "gpu-tta": ("Test-time augmentation beside plain forwards", _cells),
    "gpu-peers": ("Beside other packages", _cells),
    "gpu-stylizers": ("Every stylizer, size and batch", _cells),
    "gpu-compiled": ("Compiled", _cells),
}

if __name__ == "__main__":
    main()
