"""A program for a container with torch: it times the training step of each model, and prints one JSON line.

Its arguments are the number of seconds of a window, and "device" or "bare": whether it chooses its threads as a
device does. Each model is timed in three windows, of which the shortest time counts. It begins at SIGUSR1, so that the
container can be given its limit once torch is loaded, as devices are.
"""

from __future__ import annotations

import inspect

from fedsim_runner.participant.federatedscope import small_steps

MODELS = ("lr, digits", "mlp, digits", "convnet2, 28 x 28", "mlp, 1024 wide")
LOADED = "loaded"

# The models of FederatedScope of which two threads have little, and a wide one, most of whose time goes into large
# products of matrices. The module of the device's choice is not in the image, which holds only what is installed.
PROGRAM = f"""\
import json, signal, sys, time, types
import torch
from torch import nn

small_steps = types.ModuleType("small_steps")
exec({inspect.getsource(small_steps)!r}, small_steps.__dict__)
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})
convnet = nn.Sequential(
    nn.Conv2d(1, 32, 5, padding=2), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 5, padding=2), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(64 * 7 * 7, 512), nn.ReLU(), nn.Linear(512, 10),
)
mlp = nn.Sequential(nn.Linear(64, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 10))
wide = nn.Sequential(nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))
models = (nn.Linear(64, 10), (32, 64)), (mlp, (32, 64)), (convnet, (32, 1, 28, 28)), (wide, (256, 1024))

def seconds_per_step(model, batch):
    samples, labels = torch.randn(*batch), torch.randint(10, batch[:1])
    optimizer, loss = torch.optim.SGD(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
    def train(until):
        steps = 0
        while not steps or time.monotonic() < until:
            optimizer.zero_grad()
            loss(model(samples), labels).backward()
            optimizer.step()
            steps += 1
        return steps
    window = float(sys.argv[1])
    torch.set_num_threads(threads)  # each model as if it were the only one of its process
    if sys.argv[2] == "device":
        small_steps.compute_small_steps_alone()
    train(time.monotonic() + window / 4)  # the first steps take longer
    found = []
    for _ in range(3):
        begun = time.monotonic()
        steps = train(begun + window)
        found.append((time.monotonic() - begun) / steps)
    return min(found)

threads = torch.get_num_threads()
torch.optim.SGD(mlp.parameters(), lr=0.01).step()  # loads the rest of torch
print({LOADED!r}, flush=True)
signal.sigwait({{signal.SIGUSR1}})
print(json.dumps(dict(zip({MODELS!r}, [seconds_per_step(*one) for one in models]))), flush=True)
"""
