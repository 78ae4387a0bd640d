"""The recipes: what each stylizer is trained with. One table that can be read."""

from styleaug.training.recipes.base import Recipe
from styleaug.training.recipes.micro import MicroRecipe

RECIPES: dict[str, type[Recipe]] = {
    "micro": MicroRecipe,
}

__all__ = ["RECIPES", "Recipe"]
