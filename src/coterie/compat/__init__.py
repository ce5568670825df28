"""Drop-in faces of other packages, for programs that were written against them."""
