"""The table of recipes: losses and options for the training of each stylizer."""

from styleaug.training.recipes.appearance import AppearanceRecipe
from styleaug.training.recipes.base import Recipe
from styleaug.training.recipes.contextual_adain import ContextualAdaINRecipe
from styleaug.training.recipes.micro import MicroRecipe
from styleaug.training.recipes.rast import RASTRecipe
from styleaug.training.recipes.style_kernel import StyleKernelRecipe
from styleaug.training.recipes.stylex import StyleXRecipe
from styleaug.training.recipes.stylizing_vit import (
    BaseStylizingViTRecipe,
    SmallStylizingViTRecipe,
    StylizingViTRecipe,
)

RECIPES: dict[str, type[Recipe]] = {
    "appearance": AppearanceRecipe,
    "micro": MicroRecipe,
    "contextual-adain": ContextualAdaINRecipe,
    "rast": RASTRecipe,
    "style-kernel": StyleKernelRecipe,
    "stylex": StyleXRecipe,
    "stylizing-vit-tiny": StylizingViTRecipe,
    "stylizing-vit-small": SmallStylizingViTRecipe,
    "stylizing-vit-base": BaseStylizingViTRecipe,
}

__all__ = ["RECIPES", "Recipe"]
