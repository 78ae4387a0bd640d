"""Columns and rows of records appear where a record has them, and older records still render."""

from benchmarks.micro import images_per_second, in_units
from benchmarks.tables import SECTIONS

TIMES = {
    f"{kind}, 32 x 224 x 224": {"median": ms, "q1": ms, "q3": ms}
    for kind, ms in {"micro, bf16": 640.0, "appearance, fp32": 64.0, "colorist, fp32": 6.4}.items()
}


def test_rates_count_the_images_of_a_batch_and_units_are_of_the_same_batch():
    assert images_per_second(TIMES)["appearance, fp32, 32 x 224 x 224"] == 500.0
    assert in_units(TIMES) == {
        "micro, bf16, 32 x 224 x 224": 100.0,
        "appearance, fp32, 32 x 224 x 224": 10.0,
    }


def test_the_learned_stylizers_of_a_record_have_rows_in_units_of_colorist():
    render = SECTIONS["micro"][1]
    new = {
        "images_per_s": images_per_second(TIMES),
        "times_colorist": in_units(TIMES),
        "peak_gb_at_4096": {"appearance, fp32": 0.9},
        "gb_beyond_image_at_4096": {"appearance, fp32": 0.3},
    }
    text = render(new)
    assert "| appearance, fp32, 32 x 224 x 224 | 500.0 |  | 10.0 |" in text
    assert "| colorist, fp32, 32 x 224 x 224 | 5000.0 |  | 1.0 |" in text
    assert "Beyond the image, with the output: appearance, fp32: 0.3 GB." in text
    old = {"images_per_s": {"bf16, 8 x 256 x 256": 64.1}, "peak_gb_at_4096": {"bf16": 3.29}}
    text = render(old)
    assert "| micro, bf16, 8 x 256 x 256 | 64.1 |  |" in text
    assert "colorist" not in text
    assert "At 4096 × 4096: micro, bf16: 3.29 GB." in text


def test_milliseconds_are_a_column_where_a_record_has_them():
    render = SECTIONS["truth"][1]
    found = {"psnr": 20.0, "cases": 3, "over nothing": 1.0}
    row = {"nothing": found}
    old = render({"groups": {"style of same": row, "style of another": row}})
    assert "`ms`" not in old
    row = {"nothing": found | {"ms": 4.5}}
    new = render({"groups": {"style of same": row, "style of another": row}})
    assert "`ms`: median milliseconds per picture" in new
    assert "| `nothing` | 20.0 | 1.0 | 4.5 |" in new
