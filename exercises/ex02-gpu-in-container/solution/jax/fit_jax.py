"""Fits a line with JAX, on whatever JAX finds first: a GPU where there is one."""

import sys

import jax
import jax.numpy as jnp

device = jax.devices()[0]
if device.platform == "cpu" and "--cpu" not in sys.argv:
    sys.exit("no GPU is seen here; on a processor all the same: --cpu")
print(f"jax {jax.__version__} on {device.device_kind}")

x = jnp.linspace(0.0, 1.0, 256)
y = 3.0 * x + 1.0


@jax.jit
def step(line):
    slope = jax.grad(lambda line: jnp.mean((line[0] * x + line[1] - y) ** 2))(line)
    return line - 0.5 * slope


line = jnp.zeros(2)
for _ in range(200):
    line = step(line)
print(f"the line has slope {line[0]:.2f} and begins at {line[1]:.2f}")
