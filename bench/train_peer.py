"""The peer of bench/train.py: the official YOLOX code (PyPI yolox 0.3.0) training in float32 on the processor, images a second.

    train_peer.py nano|tiny DATA SECONDS steps|augmented

"augmented": its own data loader with its images cached, its mosaic, affine map, colours and flips, with two worker processes, at the
probabilities that our benchmark uses. "steps": the same batches over and over, made beforehand, so that nothing but training is timed.
Each step is its trainer's: forward, loss, backward, SGD with Nesterov momentum, moving average. Runs in build/deps/bench-venv.
PICTOGRAPH_YOLOX names a checkout of the official repository to use instead.
"""
import os
import sys
import time
import types
import warnings

# What the package imports and training never calls: suppression of boxes, and a counter of operations.
for name, attributes in (("torchvision", {}), ("torchvision.ops", {}), ("thop", {"profile": None})):
    module = sys.modules[name] = types.ModuleType(name)
    module.__dict__.update(attributes)
sys.modules["torchvision"].ops = sys.modules["torchvision.ops"]
if os.environ.get("PICTOGRAPH_YOLOX"):
    sys.path.insert(0, os.environ["PICTOGRAPH_YOLOX"])
warnings.filterwarnings("ignore")

import torch  # noqa: E402
from loguru import logger  # noqa: E402

logger.remove()
from yolox.exp.build import get_exp  # noqa: E402
from yolox.utils import ModelEMA  # noqa: E402

SIDE, BATCH, WARM_STEPS, PREPARED = 416, 8, 4, 8


def experiment(model, data, workers):
    exp = get_exp(None, f"yolox-{model}")
    exp.num_classes, exp.data_dir, exp.train_ann, exp.seed = 3, data, "train.json", 1
    exp.input_size = exp.test_size = (SIDE, SIDE)
    exp.mosaic_prob, exp.mosaic_scale, exp.enable_mixup = 0.5, (0.5, 1.5), False
    exp.data_num_workers = workers
    return exp


def batches(exp, augmented):
    """Endless (images, labels), as its data loader makes them."""
    loader = exp.get_data_loader(batch_size=BATCH, is_distributed=False, cache_img=True)
    stream = iter(loader)
    if augmented:
        for images, labels, *_ in stream:
            yield images, labels
    prepared = [next(stream)[:2] for _ in range(PREPARED)]
    while True:
        yield from prepared


def main(model, data, seconds, mode):
    torch.manual_seed(1)
    torch.set_num_threads(os.cpu_count())
    exp = experiment(model, data, 2 if mode == "augmented" else 0)
    network = exp.get_model().train()
    optimizer = exp.get_optimizer(BATCH)
    average = ModelEMA(network, 0.9998)
    source = batches(exp, mode == "augmented")
    for group in optimizer.param_groups:
        group["lr"] = 1e-4
    start, steps, step = 0.0, 0, 0
    while step <= WARM_STEPS or time.monotonic() - start < float(seconds):
        if step == WARM_STEPS:
            start, steps = time.monotonic(), 0
        images, labels = next(source)
        loss = network(images.float(), labels.float())["total_loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update(network)
        assert torch.isfinite(loss)
        step, steps = step + 1, steps + 1
    print(f"{steps * BATCH / (time.monotonic() - start):.2f} images/s", flush=True)
    source.close()  # ends the loader's processes


main(*sys.argv[1:])
