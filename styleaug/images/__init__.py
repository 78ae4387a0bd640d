"""Where pixels come in and go out: arrays and tensors, files, colour spaces, contact sheets."""

from styleaug.images.batch import AnyImage, Images, as_batch, as_images, from_content, to_content
from styleaug.images.colorspace import lab_to_rgb, rgb_to_lab
from styleaug.images.files import ImageFile, find_images, read_image, write_image
from styleaug.images.opening import Opened, open_image
from styleaug.images.sheet import contact_sheet, to_picture
from styleaug.images.volume import Layout, as_volume, as_volumes

__all__ = [
    "AnyImage",
    "ImageFile",
    "Images",
    "Layout",
    "Opened",
    "as_batch",
    "as_images",
    "as_volume",
    "as_volumes",
    "contact_sheet",
    "find_images",
    "from_content",
    "lab_to_rgb",
    "open_image",
    "read_image",
    "rgb_to_lab",
    "to_content",
    "to_picture",
    "write_image",
]
