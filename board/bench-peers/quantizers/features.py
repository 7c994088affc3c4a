"""What a network's classifier sees of images, in FP32, and logistic regression on it."""

from pathlib import Path

import numpy as np

from images import at_size, normalise

BATCH = 8
# Penalties that cross-validation chooses from: scikit-learn's C, the inverse of the L2 penalty.
PENALTIES = np.logspace(-3, 1, 9)
FOLDS = 5


def features(network, config, files, cache=None):
    """(N, width) f32 for images by their paths. `cache`, a .npz file, keeps them for the next time."""
    files = [str(path) for path in files]
    known = {}
    if cache and Path(cache).exists():
        kept = np.load(cache)
        known = dict(zip(kept["files"].tolist(), kept["features"]))
    missing = [path for path in files if path not in known]
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        known.update(zip(batch, forward(network, config, batch)))
        print(f"\rfeatures {start + len(batch)}/{len(missing)}", end="", flush=True)
    if missing:
        print()
    if cache and missing:
        np.savez(cache, files=list(known), features=np.stack(list(known.values())))
    return np.stack([known[path] for path in files])


def forward(network, config, files):
    import torch
    from PIL import Image

    pixels = []
    for path in files:
        with Image.open(path) as image:
            pixels.append(at_size(image.convert("RGB"), config))
    with torch.inference_mode():
        tokens = network.forward_features(torch.from_numpy(normalise(np.stack(pixels), config)))
        return network.forward_head(tokens, pre_logits=True).numpy()


def fit(inputs, labels):
    """Multinomial logistic regression on standardised features, its penalty chosen by cross-validated likelihood: weights
    (classes, width) and bias (classes) for the features as they are, and the C that was chosen."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    # Neighbours are often photographs of one thing: folds are stretches of the order.
    model = LogisticRegressionCV(
        Cs=PENALTIES,
        l1_ratios=(0,),
        cv=StratifiedKFold(FOLDS),
        scoring="neg_log_loss",
        max_iter=2000,
        use_legacy_attributes=False,
    )
    model.fit((inputs - mean) / deviation, labels)
    weights = model.coef_ / deviation
    return weights, model.intercept_ - weights @ mean, float(np.ravel(model.C_)[0])
