"""The network of Stylizing ViT as it was published, and the engine that runs it faster."""

from styleaug.stylizers.vit.network import CONFIGS, StylizingViTNetwork, ViTConfig

__all__ = ["CONFIGS", "StylizingViTNetwork", "ViTConfig"]
