"""Writes open_clip.json, the table of open_clip's image towers, from the installed open_clip.

    pip install open_clip_torch
    python generate_open_clip.py > open_clip.json

A row is what `open_clip_config.json` has as `model_cfg`, without the text tower.
"""

import json

import open_clip

KEPT = ("embed_dim", "quick_gelu", "vision_cfg")


def main():
    rows = {}
    for name in sorted(open_clip.list_models()):
        config = open_clip.get_model_config(name)
        rows[name] = {key: config[key] for key in KEPT if key in config}
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()
