"""All cases."""

import os

# Before the libraries are imported: what they print about progress hides the verdicts.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from . import files, open_clip_models, timm_models, torchvision_models, transformers_models  # noqa: E402

SOURCES = (timm_models, transformers_models, torchvision_models, open_clip_models, files)


def cases():
    return [case for source in SOURCES for case in source.cases()]
