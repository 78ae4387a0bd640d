"""The larger trained weights of styleaug: files, and no code.

`styleaug.weights` finds them here and checks each against its SHA-256. A card beside every file
says what it was trained on, by which commands, how good it is and what it is not for.
"""
