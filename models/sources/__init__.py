"""Networks of other libraries by name, one file each: timm's and those of transformers."""
