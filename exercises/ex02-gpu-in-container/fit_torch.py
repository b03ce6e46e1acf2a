"""Fits a line with PyTorch on a GPU."""

import torch

device = "cuda"
print(f"torch {torch.__version__} on {device}", flush=True)

x = torch.linspace(0.0, 1.0, 256, device=device)
y = 3.0 * x + 1.0
line = torch.zeros(2, device=device, requires_grad=True)
descent = torch.optim.SGD([line], lr=0.5)
for _ in range(200):
    descent.zero_grad()
    ((line[0] * x + line[1] - y) ** 2).mean().backward()
    descent.step()
print(f"the line has slope {line[0].item():.2f} and begins at {line[1].item():.2f}")
