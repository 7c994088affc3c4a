"""All cases."""

from . import files, open_clip_models, timm_models, torchvision_models, transformers_models

SOURCES = (timm_models, transformers_models, torchvision_models, open_clip_models, files)


def cases():
    return [case for source in SOURCES for case in source.cases()]
