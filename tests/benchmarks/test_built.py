"""How benchmarks build what they measure, and what a record says of it."""

from benchmarks.built import build, named, takes, weights_of
from styleaug import create_stylizer


def test_detail_is_left_out_where_it_is_an_option():
    assert takes("rast", "detail")
    assert not takes("colorist", "detail")
    assert build("rast").detail is True
    assert build("rast", detail=False).detail is False
    assert build("colorist", detail=False).name == "colorist"


def test_a_record_has_the_digests_of_weights_and_no_folder(tmp_path):
    stylizers = {"mine": build("micro"), "colorist": build("colorist")}
    assert weights_of(stylizers) == {"mine": create_stylizer("micro").weights_id}
    file = tmp_path / "model.safetensors"
    file.touch()
    texts = ["rast=medical", f"micro={file}", "stylizing-vit-tiny=hf:owner/name@revision"]
    assert named(texts) == {
        "rast": "medical",
        "micro": "model.safetensors",
        "stylizing-vit-tiny": "hf:owner/name@revision",
    }
