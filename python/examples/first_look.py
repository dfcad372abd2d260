"""A first look at a run in Python, cell by cell, as in a notebook.

    python3 python/examples/first_look.py [DATA RUN]        by default those of docs/tour.md

Needs the package (`pip install ./python`); the figure needs matplotlib.
"""
# %% The model of the best checkpoint, and the data
import sys

import numpy

import relgrad

folder, run = sys.argv[1:3] if len(sys.argv) > 2 else ("data/tour", "runs/two")
model = relgrad.load(run)
data = relgrad.data(folder)
test = data["test"]
print(model)
print("\n".join(model.layers))
print("splits:", {name: values.shape for name, values in data.items()})

# %% How it trained
val = relgrad.metrics(run)["val"]
for epoch, bits in zip(val["epoch"], val["bits_per_dim"]):
    print(f"epoch {epoch:.1f}: {bits:.4f} bits/dim")

# %% Exact likelihoods, in nats per sample and as bits per dimension
log_prob = model.log_prob(test)
bits = model.bits_per_dim(test)
print(f"test: {bits.mean():.4f} +- {bits.std(ddof=1) / len(bits) ** 0.5:.4f} bits/dim")
print("least likely test samples:", numpy.argsort(log_prob)[:5])

# %% Latent vectors: independent and standard normal, if the model is good
z = model.encode(test)
print(f"latent mean {z.mean():.3f}, standard deviation {z.std():.3f}")

# %% Halfway between two samples, in latent space
halfway = model.decode((z[:1] + z[1:2]) / 2)
print("halfway:", halfway.shape, f"log p = {model.log_prob(halfway)[0]:.1f} nats")

# %% New samples
drawn = model.sample(16, seed=1, temperature=0.9)
print("drawn:", drawn.shape, drawn.dtype)

# %% A figure of them
try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError:
    print("no figure: matplotlib is not installed")
else:
    if len(model.sample_shape) == 3:
        figure, axes = pyplot.subplots(4, 4)
        for axis, image in zip(axes.flat, drawn):
            axis.imshow(image.transpose(1, 2, 0).squeeze(), cmap="gray")
            axis.axis("off")
        figure.savefig(f"{run}/first_look.png")

# %% Gradients by samples, with torch
try:
    import torch
except ImportError:
    print("no gradients: torch is not installed")
else:
    flow = model.torch()
    x = torch.tensor(halfway, dtype=torch.float32, requires_grad=True)
    flow.log_prob(x).sum().backward()
    print("d log p / dx:", tuple(x.grad.shape), f"norm {x.grad.norm().item():.3f}")
