"""Whole slides: reading, stylizing and writing tile by tile, and data sets of tissue tiles.

Needs ``pip install 'styleaug[slide]'``.
"""

from styleaug.images.slide import Slide, open_slide
from styleaug.slides.painting import SlidePainting, stylize_slide
from styleaug.slides.style import SlideStyle
from styleaug.slides.tiles import SlideTiles

__all__ = ["Slide", "SlidePainting", "SlideStyle", "SlideTiles", "open_slide", "stylize_slide"]
